// CUDA's built-in vector types, for the host compiler.
#pragma once
#include <cstdint>

#define FASTDL_VECTOR(T, name, align2, align4)               \
  struct alignas(align2) name##2 { T x, y; };                \
  struct alignas(align4) name##4 { T x, y, z, w; };          \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; } \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
FASTDL_VECTOR(float, float, 8, 16)
FASTDL_VECTOR(double, double, 16, 16)
FASTDL_VECTOR(int, int, 8, 16)
FASTDL_VECTOR(unsigned, uint, 8, 16)
FASTDL_VECTOR(short, short, 4, 8)
FASTDL_VECTOR(unsigned short, ushort, 4, 8)
FASTDL_VECTOR(unsigned char, uchar, 2, 4)
FASTDL_VECTOR(signed char, char, 2, 4)
FASTDL_VECTOR(long long, longlong, 16, 16)
FASTDL_VECTOR(unsigned long long, ulonglong, 16, 16)
#undef FASTDL_VECTOR

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  operator uint3() const { return {x, y, z}; }
};
