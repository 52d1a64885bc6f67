// What elementwise kernels and reductions read and write: an array of any dtype, in groups of V adjacent elements that are
// loaded and stored together and converted to the type T that a kernel computes in.
#pragma once
#include <cstring>

#include "cuda/device/strided.h"
#include "cuda/device/visit.h"

namespace fastdl::cuda {

constexpr int kVector = 4;  // elements of a group where layout and address allow it
// Not for double: adjacent threads' single elements use memory as well, and code stays small.
template <class T> constexpr bool has_vectors = std::is_same_v<T, float> || std::is_same_v<T, int64_t>;

// Storage that is moved, not computed with: unsigned words of 1 to 16 bytes.
template <class T> constexpr bool is_word = std::is_same_v<T, uint8_t> || std::is_same_v<T, uint16_t> ||
                                            std::is_same_v<T, uint32_t> || std::is_same_v<T, uint64_t> ||
                                            std::is_same_v<T, uint4>;

struct Operand {
  char* data;         // null: one value everywhere
  uint64_t value[2];  // that value, as the function's type
  int32_t dtype;
  int32_t repeats;    // whether it is the same along the innermost dimension

  template <class T> void set_value(const T& v) {
    data = nullptr;
    std::memcpy(value, &v, sizeof v);
  }
};

template <class S, int V> struct alignas(sizeof(S) * V < 16 ? sizeof(S) * V : 16) Pack {
  S element[V];
};

// f.template operator()<S>() with the type in memory.
template <class T, class F> __device__ __forceinline__ void for_storage(DType dtype, const F& f) {
  if constexpr (is_word<T>) f.template operator()<T>();
  else for_any(dtype, f);
}

template <int V, int Groups, class T> __device__ __forceinline__ void load_groups(T (&x)[Groups * V], const Operand& o,
                                                                                  const int64_t (&at)[Groups],
                                                                                  const int (&valid)[Groups]) {
  if (!o.data) {
#pragma unroll
    for (T& v : x) memcpy(&v, o.value, sizeof v);
    return;
  }
  for_storage<T>(static_cast<DType>(o.dtype), [&]<class S>() {
    const S* p = reinterpret_cast<const S*>(o.data);
    Pack<S, V> packs[Groups] = {};
#pragma unroll
    for (int g = 0; g < Groups; ++g) {
      if (V > 1 && (o.repeats || valid[g] < V)) {
#pragma unroll
        for (int j = 0; j < V; ++j)
          if (j < valid[g]) packs[g].element[j] = p[at[g] + (o.repeats ? 0 : j)];
      } else if (valid[g] > 0) {
        packs[g] = *reinterpret_cast<const Pack<S, V>*>(p + at[g]);
      }
    }
#pragma unroll
    for (int g = 0; g < Groups; ++g)
#pragma unroll
      for (int j = 0; j < V; ++j) x[g * V + j] = convert<T>(packs[g].element[j]);
  });
}

template <int V, int Groups, class T> __device__ __forceinline__ void store_groups(const T (&x)[Groups * V], const Operand& o,
                                                                                   const int64_t (&at)[Groups],
                                                                                   const int (&valid)[Groups]) {
  for_storage<T>(static_cast<DType>(o.dtype), [&]<class S>() {
    S* p = reinterpret_cast<S*>(o.data);
#pragma unroll
    for (int g = 0; g < Groups; ++g) {
      Pack<S, V> pack;
#pragma unroll
      for (int j = 0; j < V; ++j) pack.element[j] = convert<S>(x[g * V + j]);
      if (valid[g] == V) {
        *reinterpret_cast<Pack<S, V>*>(p + at[g]) = pack;
      } else {
#pragma unroll
        for (int j = 0; j < V; ++j)
          if (j < valid[g]) p[at[g] + j] = pack.element[j];
      }
    }
  });
}

template <class T> Operand operand_of(const View& v) {
  Operand o{static_cast<char*>(v.data), {}, static_cast<int32_t>(v.dtype), 0};
  if (v.host) o.set_value(load_element<T>(v.data, v.dtype));
  return o;
}

// Whether groups of kVector elements lie together, or are one element, in an operand.
template <int N> bool in_vectors(const Dims<N>& dims, int o, const Operand& operand, int64_t element) {
  if (!operand.data || dims.ndim == 0) return true;
  const int64_t alignment = element * kVector < 16 ? element * kVector : 16, inner = dims.stride[0][o];
  if (inner == 0) return o > 0;
  bool aligned = inner == 1 && reinterpret_cast<uintptr_t>(operand.data) % static_cast<uint64_t>(alignment) == 0;
  for (int d = 1; d < dims.ndim; ++d) aligned &= dims.stride[d][o] * element % alignment == 0;
  return aligned;
}

}  // namespace fastdl::cuda
