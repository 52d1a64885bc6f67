// Indexing by integer tensors. A place is an offset into the source; what is copied there is a block of the dimensions that
// are not indexed, by memcpy where it is contiguous. Bytes: those read and written.
//
// Scattering deals the targets out to tasks, and each task walks its places in order, so that equal places do not race
// and sums come out in one order.
#include "cpu/kernels/level.h"
#include "cpu/kernels/runs.h"

namespace FASTDL_CPU_NAMESPACE {

namespace {

// The offset of a row-major position within a view's dimensions [first, last).
FASTDL_INLINE int64_t position(const View& v, int first, int last, int64_t i) {
  int64_t offset = 0;
  for (int d = last - 1; d >= first; --d) {
    offset += i % v.shape[d] * v.strides[d];
    i /= v.shape[d];
  }
  return offset;
}

FASTDL_INLINE int64_t count(const View& v, int first, int last) {
  int64_t n = 1;
  for (int d = first; d < last; ++d) n *= v.shape[d];
  return n;
}

// Offsets of the places within a view whose first dimensions they are; one multiplication where those lie evenly.
class Places {
 public:
  Places(const View& v, int dims) : view_(v), dims_(dims) {
    int64_t covered = 0;  // places in the dimensions seen
    for (int d = dims - 1; d >= 0; --d) {
      if (v.shape[d] == 1) continue;
      if (covered == 0) stride_ = v.strides[d], covered = 1;
      even_ = even_ && v.strides[d] == covered * stride_;
      covered *= v.shape[d];
    }
  }
  FASTDL_INLINE int64_t offset(int64_t place) const { return even_ ? place * stride_ : position(view_, 0, dims_, place); }

 private:
  const View& view_;
  int dims_;
  int64_t stride_ = 0;
  bool even_ = true;
};

constexpr int64_t kScatterTasks = 16;
constexpr int64_t kPrefetchBytes = 1024;

// The task that writes a target: spread evenly, whatever pattern the offsets have.
FASTDL_INLINE int64_t owner(int64_t offset, int64_t tasks) {
  const uint64_t mixed = static_cast<uint64_t>(offset) * 0x9E3779B97F4A7C15u >> 32;
  return static_cast<int64_t>(mixed * static_cast<uint64_t>(tasks) >> 32);
}

// The innermost dimensions of a block that are contiguous in both, as one run; the others are walked.
struct Block {
  int outer = 0;      // dimensions of the block outside the run
  int64_t run = 1;    // elements
  int64_t runs = 1;
};
FASTDL_INLINE Block split_block(const View& a, const View& b, int first) {
  Block block;
  int d = a.ndim;
  while (d > 0 && (a.shape[d - 1] == 1 || (a.strides[d - 1] == block.run && b.strides[first + d - 1] == block.run)))
    block.run *= a.shape[--d];
  block.outer = d;
  for (int i = 0; i < d; ++i) block.runs *= a.shape[i];
  return block;
}

template <class T> void add_run(void* to, const void* values, int64_t n) {
  T* a = static_cast<T*>(to);
  const T* b = static_cast<const T*>(values);
  for (int64_t i = 0; i < n; ++i) a[i] = static_cast<T>(a[i] + b[i]);
}

void add_any(void* to, const void* values, DType dtype, int64_t n) {
  switch (dtype) {
    case DType::f32: return add_run<float>(to, values, n);
    case DType::f64: return add_run<double>(to, values, n);
    case DType::i64: return add_run<int64_t>(to, values, n);
    case DType::i32: return add_run<int32_t>(to, values, n);
    case DType::i8: return add_run<int8_t>(to, values, n);
    case DType::u8: return add_run<uint8_t>(to, values, n);
    case DType::b8:
      for (int64_t i = 0; i < n; ++i)
        static_cast<bool*>(to)[i] = static_cast<bool*>(to)[i] || static_cast<const bool*>(values)[i];
      return;
    case DType::f16:
      for (int64_t i = 0; i < n; ++i)
        static_cast<f16*>(to)[i] = to_f16(to_f32(static_cast<f16*>(to)[i]) + to_f32(static_cast<const f16*>(values)[i]));
      return;
    case DType::bf16:
      for (int64_t i = 0; i < n; ++i)
        static_cast<bf16*>(to)[i] = to_bf16(to_f32(static_cast<bf16*>(to)[i]) + to_f32(static_cast<const bf16*>(values)[i]));
      return;
  }
}

}  // namespace

void index_offsets(const Context&, const IndexOffsetsArgs& a) {
  const int64_t n = a.index[0].numel();
  for (int k = 0; k < a.count; ++k) {
    const View& v = a.index[k];
    const int64_t* p = v.as<int64_t>();
    const bool dense = v.contiguous();
    for (int64_t i = 0; i < n; ++i) {
      int64_t x = dense ? p[i] : p[position(v, 0, v.ndim, i)];
      if (FASTDL_UNLIKELY(x < -a.size[k] || x >= a.size[k])) {
        if (!a.bad[0]) {
          a.bad[0] = 1;
          a.bad[1] = k;
          a.bad[2] = x;
        }
        x = 0;
      }
      x = (x < 0 ? x + a.size[k] : x) * a.stride[k];
      a.offsets[i] = k == 0 ? x : a.offsets[i] + x;
    }
  }
}

void index_gather(const Context&, const IndexGatherArgs& a) {
  const int64_t size = size_of(a.from.dtype), places = count(a.out, 0, a.place_dims);
  const Block block = split_block(a.from, a.out, a.place_dims);
  const Places place(a.out, a.place_dims);
  const char* from = static_cast<const char*>(a.from.data);
  char* out = static_cast<char*>(a.out.data);
  parallel_for(places, grain_for(2 * block.run * block.runs * size), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const char* source = from + a.offsets[p] * size;
      char* dest = out + place.offset(p) * size;
      if (p + 1 < end) {  // the start of the next row; the hardware follows once it sees a stream
        const char* next = from + a.offsets[p + 1] * size;
        for (int64_t b = 0; b < kPrefetchBytes && b < block.run * size; b += 64) __builtin_prefetch(next + b);
      }
      if (block.run * size == 4 && block.runs == 1) {
        std::memcpy(dest, source, 4);
        continue;
      }
      for (int64_t r = 0; r < block.runs; ++r)
        std::memcpy(dest + position(a.out, a.place_dims, a.place_dims + block.outer, r) * size,
                    source + position(a.from, 0, block.outer, r) * size, static_cast<size_t>(block.run * size));
    }
  });
}

void index_scatter(const Context&, const IndexScatterArgs& a) {
  const int64_t size = size_of(a.to.dtype), places = count(a.values, 0, a.place_dims);
  const Block block = split_block(a.to, a.values, a.place_dims);
  const Places place(a.values, a.place_dims);
  char* to = static_cast<char*>(a.to.data);
  const char* values = static_cast<const char*>(a.values.data);
  // Each task reads all offsets, which pays for itself when the blocks are much larger than an offset.
  const int64_t block_bytes = block.run * block.runs * size, wanted = places * block_bytes / kGrainBytes;
  const int64_t tasks = block_bytes < 256 || wanted < 2 ? 1 : wanted < kScatterTasks ? wanted : kScatterTasks;
  parallel_tasks(tasks, [&](int64_t task) {
    for (int64_t p = 0; p < places; ++p) {
      if (tasks > 1 && owner(a.offsets[p], tasks) != task) continue;
      char* dest = to + a.offsets[p] * size;
      const char* source = values + place.offset(p) * size;
      for (int64_t r = 0; r < block.runs; ++r) {
        char* d = dest + position(a.to, 0, block.outer, r) * size;
        const char* s = source + position(a.values, a.place_dims, a.place_dims + block.outer, r) * size;
        if (a.accumulate) add_any(d, s, a.to.dtype, block.run);
        else std::memcpy(d, s, static_cast<size_t>(block.run * size));
      }
    }
  });
}

void nonzero(const Context&, const NonzeroArgs& a) {
  const int64_t n = a.in.numel(), size = size_of(a.in.dtype);
  int64_t at[kMaxDims] = {}, found = 0;
  for (int64_t i = 0; i < n && found < a.count; ++i) {
    const char* p = static_cast<const char*>(a.in.data) + position(a.in, 0, a.in.ndim, i) * size;
    if (load_number<double>(p, a.in.dtype) != 0) {
      for (int d = 0; d < a.in.ndim; ++d) a.out[d * a.count + found] = at[d];
      ++found;
    }
    for (int d = a.in.ndim - 1; d >= 0 && ++at[d] == a.in.shape[d]; --d) at[d] = 0;
  }
}

}  // namespace FASTDL_CPU_NAMESPACE
