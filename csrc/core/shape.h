// A list of up to kMaxDims int64: a shape, strides, or a list of dimensions.
#pragma once
#include <cstdint>
#include <initializer_list>

#include "core/error.h"
#include "core/view.h"

namespace fastdl {

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> list) : Shape(list.begin(), list.end()) {}
  template <class It> Shape(It first, It last) {
    for (; first != last; ++first) push_back(*first);
  }
  static Shape filled(int size, int64_t value) {
    Shape s;
    for (int i = 0; i < size; ++i) s.push_back(value);
    return s;
  }

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int64_t& operator[](int i) { return d_[i]; }
  int64_t operator[](int i) const { return d_[i]; }
  int64_t* begin() { return d_; }
  int64_t* end() { return d_ + size_; }
  const int64_t* begin() const { return d_; }
  const int64_t* end() const { return d_ + size_; }
  int64_t back() const { return d_[size_ - 1]; }
  void push_back(int64_t v) {
    if (size_ == kMaxDims) throw ShapeError(str("tensors have at most ", kMaxDims, " dimensions"));
    d_[size_++] = v;
  }
  void pop_back() { --size_; }
  void insert(int at, int64_t v) {
    push_back(v);
    for (int i = size_ - 1; i > at; --i) d_[i] = d_[i - 1];
    d_[at] = v;
  }
  void erase(int at) {
    for (int i = at; i + 1 < size_; ++i) d_[i] = d_[i + 1];
    --size_;
  }
  bool operator==(const Shape& o) const {
    if (size_ != o.size_) return false;
    for (int i = 0; i < size_; ++i)
      if (d_[i] != o.d_[i]) return false;
    return true;
  }
  // Product of the sizes; throws when it overflows or a size is negative.
  int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < size_; ++i) {
      if (d_[i] < 0) throw ShapeError(str("negative size in shape ", *this));
      if (__builtin_mul_overflow(n, d_[i], &n)) throw ShapeError(str("shape ", *this, " has too many elements"));
    }
    return n;
  }

 private:
  int64_t d_[kMaxDims] = {};
  int size_ = 0;
};

inline Shape contiguous_strides(const Shape& shape) {
  Shape s = Shape::filled(shape.size(), 1);
  for (int i = shape.size() - 2; i >= 0; --i) s[i] = s[i + 1] * (shape[i + 1] > 0 ? shape[i + 1] : 1);
  return s;
}

// Dimension d of an n-dimensional tensor (negative counts from the end; 0-d tensors accept 0 and -1).
inline int normalize_dim(int64_t d, int n, const char* op) {
  const int64_t m = n > 0 ? n : 1;
  if (d < -m || d >= m)
    throw IndexError(str(op, ": dimension ", d, " is out of range for ", n, " dimensions (expected ", -m, " to ", m - 1, ")"));
  return static_cast<int>(d < 0 ? d + m : d);
}

}  // namespace fastdl
