// Attributes used across the tree.
#pragma once

// For functions in headers that are compiled once per CPU instruction set. They must leave no weak symbol behind: the
// linker keeps one copy of a weak symbol for everyone, which could be the AVX-512 one. See docs/decisions.md.
#if defined(__CUDACC__)
#define FASTDL_INLINE __host__ __device__ __forceinline__
#else
#define FASTDL_INLINE inline __attribute__((always_inline))
#endif

#define FASTDL_LIKELY(x) __builtin_expect(!!(x), 1)
#define FASTDL_UNLIKELY(x) __builtin_expect(!!(x), 0)
