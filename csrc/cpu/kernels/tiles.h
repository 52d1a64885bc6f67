// The one mechanism behind every elementwise kernel. The operands' dimensions are ordered by the output's strides and
// merged where all operands allow it; the loop over what is left goes in tiles. A function sees contiguous tiles of its
// own type only: an operand that already is such a tile is used where it lies, any other (strided, broadcast, another
// dtype) is converted into a buffer in L1 first, and a result of another type or stride is converted on its way out.
#pragma once
#include "cpu/kernels/convert.h"

namespace FASTDL_CPU_NAMESPACE {

constexpr int kMaxInputs = 3;
constexpr int64_t kTileElements = 1024;  // of a tile that goes through a buffer

// stream: out is aligned to the vector's size and goes past the caches.
using TileFn = void (*)(void* out, const void* const* in, int64_t n, const double* params, bool stream);

struct TileJob {
  TileFn fn;             // null: the result is the (converted) input
  const double* params;
  DType compute;         // type of the tiles that fn reads: float32, float64, int64
  DType result;          // and writes: the same, or bool
  int inputs;
  const View* out;
  const View* in[kMaxInputs];
};

void run_tiles(const TileJob& job);

FASTDL_INLINE DType compute_type(DType t) { return t == DType::f64 ? DType::f64 : is_floating(t) ? DType::f32 : DType::i64; }

// Rows of the tables from op to function: one entry for each of float32, float64, int64.
struct TileRow {
  TileFn f32, f64, i64;
  FASTDL_INLINE TileFn operator[](DType compute) const {
    return compute == DType::f32 ? f32 : compute == DType::f64 ? f64 : i64;
  }
};
enum class Types { floating, any };

// How a function writes a vector of its result.
template <class V> FASTDL_INLINE void put(lane_t<V>* p, V v, bool stream) {
  if (stream) store_stream(reinterpret_cast<float*>(p), (vf32)v);
  else store<V>(p, v);
}
template <class V> FASTDL_INLINE void store_mask(uint8_t* p, mask_t<V> mask, int64_t n) {
  typename vector_of<uint8_t, lanes<V>>::type bytes =
      __builtin_convertvector(mask, typename vector_of<uint8_t, lanes<V>>::type) & 1;
  if (n >= lanes<V>) __builtin_memcpy(p, &bytes, lanes<V>);
  else
    for (int64_t i = 0; i < n; ++i) p[i] = bytes[i];
}

}  // namespace FASTDL_CPU_NAMESPACE
