// The exceptions that ops throw, and str(...), which builds their messages.
#pragma once
#include <charconv>
#include <concepts>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "core/dtype.h"

namespace fastdl {

// The base of all; the Python binding gives each a Python exception of the same name.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
class ShapeError : public Error {
  using Error::Error;
};  // also a ValueError in Python
class ValueError : public Error {
  using Error::Error;
};  // ValueError
class DTypeError : public Error {
  using Error::Error;
};  // also a TypeError
class DeviceError : public Error {
  using Error::Error;
};  // also a RuntimeError
class IndexError : public Error {
  using Error::Error;
};  // IndexError
class OutOfMemoryError : public Error {
  using Error::Error;
};  // MemoryError
class VersionError : public Error {
  using Error::Error;
};  // a saved tensor was changed in place; RuntimeError
class CaptureError : public Error {
  using Error::Error;
};  // what a captured step cannot hold; RuntimeError

namespace detail {

inline void append(std::string& out, std::string_view s) { out += s; }
inline void append(std::string& out, DType t) { out += name_of(t); }

template <class T>
  requires std::is_arithmetic_v<T>
void append(std::string& out, T x) {
  if constexpr (std::is_same_v<T, bool>) {
    out += x ? "True" : "False";
  } else if constexpr (std::is_same_v<T, char>) {
    out += x;
  } else {
    char buffer[64];
    out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, x).ptr);
  }
}

// A type's own to_string, found beside the type.
template <class T>
  requires(std::is_class_v<T> &&
           requires(const T& x) {
             { to_string(x) } -> std::convertible_to<std::string_view>;
           })
void append(std::string& out, const T& x) {
  out += to_string(x);
}

// A shape, a list of dimensions or of dtypes: "[2, 3]".
template <class T>
  requires(!std::convertible_to<const T&, std::string_view> && requires(const T& x) { x.begin() != x.end(); })
void append(std::string& out, const T& range) {
  out += '[';
  bool first = true;
  for (const auto& x : range) {
    if (!first) out += ", ";
    first = false;
    append(out, x);
  }
  out += ']';
}

}  // namespace detail

// str("matmul: got ", x.shape(), " of ", x.dtype()) == "matmul: got [2, 3] of float32"
template <class... Parts> std::string str(const Parts&... parts) {
  std::string out;
  (detail::append(out, parts), ...);
  return out;
}

}  // namespace fastdl
