// Linear layers with weights of 8 bits. They are for inference and are not recorded.
#include "ops/launch.h"
#include "ops/ops.h"

namespace fastdl::ops {

Tensor linear_int8(const Tensor& input, const Tensor& weight, const Tensor& scale, const Tensor& sums,
                   const std::optional<Tensor>& bias) {
  constexpr const char* op = "linear_int8";
  check_floating(op, input);
  check_same_device(op, {input, weight, scale, sums});
  if (input.ndim() == 0 || scale.ndim() != 1 || sums.shape() != scale.shape())
    throw ShapeError(str(op, ": needs input (..., in_features), and scale and sums of out_features each, got ", input.shape(),
                         ", ", scale.shape(), " and ", sums.shape()));
  const int64_t in = input.size(-1), out = scale.size(0);
  if (weight.dtype() != DType::i8 || sums.dtype() != DType::i32)
    throw DTypeError(
        str(op, ": needs weight of int8 and sums of int32, got ", name_of(weight.dtype()), " and ", name_of(sums.dtype())));
  if (in > kInt8MaxK) throw ShapeError(str(op, ": in_features = ", in, ", at most ", kInt8MaxK, " have sums of 32 bits"));
  const Shape packed{int8_panels(out), int8_quads(in), kInt8Columns, kInt8Quad};
  if (weight.shape() != packed)
    throw ShapeError(str(op, ": input ", input.shape(), " needs packed weight ", packed, ", got ", weight.shape()));
  if (bias) {
    check_same_device(op, {input, *bias});
    if (bias->shape() != scale.shape())
      throw ShapeError(str(op, ": needs bias of shape ", scale.shape(), ", got ", bias->shape()));
  }
  Shape shape = input.shape();
  shape[shape.size() - 1] = out;
  GradMode no_grad(false);
  const Device device = input.device();
  Tensor y = empty(shape, DType::f32, device);
  if (y.numel() > 0) {
    const auto floats = [](const Tensor& t) { return contiguous(to_dtype(t, DType::f32)); };
    const int64_t rows = y.numel() / out;
    const Tensor x = floats(input), w = contiguous(weight), scales = floats(scale), weight_sums = contiguous(sums);
    const Tensor b = bias ? floats(*bias) : Tensor();
    const Tensor quantized = empty(Shape{int8_workspace(rows, in)}, DType::u8, device);
    const Tensor row_scale = empty(Shape{rows}, DType::f32, device), row_zero = empty(Shape{rows}, DType::i32, device);
    Int8LinearArgs args;
    args.x = static_cast<const float*>(x.data());
    args.weight = static_cast<const int8_t*>(w.data());
    args.weight_scale = static_cast<const float*>(scales.data());
    args.weight_sum = static_cast<const int32_t*>(weight_sums.data());
    args.bias = b.defined() ? static_cast<const float*>(b.data()) : nullptr;
    args.y = static_cast<float*>(y.data());
    args.quantized = static_cast<uint8_t*>(quantized.data());
    args.scale = static_cast<float*>(row_scale.data());
    args.zero = static_cast<int32_t*>(row_zero.data());
    args.rows = rows, args.columns = out, args.k = in;
    launch(&KernelTable::linear_int8, device, args);
  }
  return to_dtype(y, input.dtype());
}

}  // namespace fastdl::ops
