// Random changes to batches of images (N, C, H, W), drawn anew for each image. They are compositions: the numbers come from
// the generator's Philox stream, the pixels move by gathers and masks, and both run on every device and to the same bits at
// any number of threads.
#include <cmath>

#include "ops/launch.h"
#include "ops/ops.h"

namespace fastdl::ops {

namespace {

constexpr int64_t kAttempts = 10;  // at a rectangle that fits

void check_images(const char* op, const Tensor& t) {
  if (t.ndim() != 4) throw ShapeError(str(op, ": images ", t.shape(), ", expected (N, C, height, width)"));
}

void check_probability(const char* op, double p) {
  if (!(p >= 0 && p <= 1)) throw ValueError(str(op, ": probability ", p, ", expected a value in [0, 1]"));
}

Tensor number(double value) { return scalar_tensor(Scalar(value)); }
Tensor integer(int64_t value) { return scalar_tensor(Scalar(value)); }

Tensor uniforms(const Tensor& images, const Shape& shape, Generator* generator) {
  return uniform_(empty(shape, DType::f32, images.device()), 0, 1, generator);
}

// Shape that broadcasts (N, length) against (N, C, H, W) along dimension 2 or 3.
Shape along(const Tensor& t, int64_t dim) {
  return dim == 2 ? Shape{t.size(0), 1, t.size(1), 1} : Shape{t.size(0), 1, 1, t.size(1)};
}

// Where position `at` outside of [0, size) takes its pixel from.
Tensor fold_back(const Tensor& at, int64_t size, const std::string& mode) {
  if (mode == "reflect") return sub(integer(size - 1), abs(sub(integer(size - 1), abs(at))));
  if (mode == "symmetric") {
    const Tensor from_start = maximum(at, sub(integer(-1), at));
    return minimum(from_start, sub(integer(2 * size - 1), from_start));
  }
  return clamp(at, integer(0), integer(size - 1));
}

// Positions first[n] .. first[n] + length - 1 of image n along a dimension: (N, length).
Tensor positions(const Tensor& first, int64_t length) {
  const Tensor steps = arange(Scalar(int64_t{0}), Scalar(length), Scalar(int64_t{1}), DType::i64, first.device());
  return add(reshape(first, {first.numel(), 1}), steps);
}

Tensor take(const Tensor& images, int64_t dim, const Tensor& at) {
  Shape shape = images.shape();
  shape[dim] = at.size(1);
  return gather(images, dim, expand(reshape(at, along(at, dim)), shape));
}

// Whether positions 0 .. size - 1 lie within [first, first + length), along a dimension.
Tensor within(const Tensor& first, const Tensor& length, int64_t size, int64_t dim) {
  const Tensor at = arange(Scalar(int64_t{0}), Scalar(size), Scalar(int64_t{1}), DType::f32, first.device());
  const Tensor mask = logical_and(ge(at, first), lt(at, add(first, length)));
  return reshape(mask, along(mask, dim));
}

}  // namespace

Tensor random_crop(const Tensor& images, const Shape& size, const Shape& padding, const Scalar& fill, const std::string& mode,
                   Generator* generator) {
  check_images("random_crop", images);
  if (size.size() != 2 || size[0] < 1 || size[1] < 1)
    throw ValueError(str("random_crop: size ", size, ", expected a positive height and width"));
  if (padding.size() != 4) throw ValueError(str("random_crop: padding ", padding, ", expected (left, top, right, bottom)"));
  if (mode != "constant" && mode != "edge" && mode != "reflect" && mode != "symmetric")
    throw ValueError(str("random_crop: mode '", mode, "', expected 'constant', 'edge', 'reflect' or 'symmetric'"));
  const int64_t n = images.size(0);
  Tensor out = images, inside;
  for (const int64_t dim : {2, 3}) {
    const int64_t length = images.size(dim), wanted = size[dim - 2];
    const int64_t before = padding[dim == 2 ? 1 : 0], after = padding[dim == 2 ? 3 : 2];
    const int64_t room = length + before + after - wanted;
    if (before < 0 || after < 0) throw ValueError(str("random_crop: padding ", padding, " must not be negative"));
    if (room < 0)
      throw ShapeError(str("random_crop: size ", size, " is larger than images ", images.shape(), " with padding ", padding));
    const int64_t most = mode == "reflect" ? length - 1 : length;
    if ((mode == "reflect" || mode == "symmetric") && (before > most || after > most))
      throw ShapeError(str("random_crop: padding ", padding, " of mode '", mode, "' is too large for images ", images.shape()));
    const Tensor first = random_integers_(empty({n}, DType::i64, images.device()), -before, room - before + 1, generator);
    if (images.numel() == 0) continue;
    const Tensor at = positions(first, wanted);
    out = take(out, dim, fold_back(at, length, mode));
    if (mode == "constant" && before + after > 0) {
      const Tensor valid = reshape(logical_and(ge(at, integer(0)), lt(at, integer(length))), along(at, dim));
      inside = inside.defined() ? logical_and(inside, valid) : valid;
    }
  }
  if (images.numel() == 0) return full({n, images.size(1), size[0], size[1]}, fill, images.dtype(), images.device());
  return inside.defined() ? where(inside, out, full({}, fill, images.dtype(), images.device())) : out;
}

Tensor random_flip(const Tensor& images, double p, int64_t dim, Generator* generator) {
  check_images("random_flip", images);
  check_probability("random_flip", p);
  return where(lt(uniforms(images, {images.size(0), 1, 1, 1}, generator), number(p)), flip(images, {dim}), images);
}

Tensor random_erasing(const Tensor& images, double p, double least_scale, double most_scale, double least_ratio,
                      double most_ratio, const Tensor& value, Generator* generator) {
  check_images("random_erasing", images);
  check_probability("random_erasing", p);
  if (!(0 <= least_scale && least_scale <= most_scale && most_scale <= 1))
    throw ValueError(str("random_erasing: scale (", least_scale, ", ", most_scale, "), expected shares of the area in order"));
  if (!(0 < least_ratio && least_ratio <= most_ratio))
    throw ValueError(str("random_erasing: ratio (", least_ratio, ", ", most_ratio, "), expected positive ones in order"));
  const int64_t n = images.size(0), height = images.size(2), width = images.size(3);
  const auto between = [&](double low, double high) {
    return add(mul(uniforms(images, {n, kAttempts}, generator), number(high - low)), number(low));
  };
  const Tensor area = mul(between(least_scale, most_scale), number(static_cast<double>(height * width)));
  const Tensor aspect = exp(between(std::log(least_ratio), std::log(most_ratio)));
  Tensor high = round(sqrt(mul(area, aspect))), wide = round(sqrt(div(area, aspect)));
  const Tensor fits = logical_and(lt(high, integer(height)), lt(wide, integer(width)));
  const Tensor first = argmax(to_dtype(fits, DType::i64), 1, true);  // the first attempt that fits, if one does
  high = gather(high, 1, first);
  wide = gather(wide, 1, first);
  const Tensor top = floor(mul(uniforms(images, {n, 1}, generator), sub(integer(height + 1), high)));
  const Tensor left = floor(mul(uniforms(images, {n, 1}, generator), sub(integer(width + 1), wide)));
  const Tensor chosen = logical_and(gather(fits, 1, first), lt(uniforms(images, {n, 1}, generator), number(p)));
  const Tensor mask =
      logical_and(logical_and(within(top, high, height, 2), within(left, wide, width, 3)), reshape(chosen, {n, 1, 1, 1}));
  return where(mask, expand(to_dtype(value, images.dtype()), images.shape()), images);
}

}  // namespace fastdl::ops
