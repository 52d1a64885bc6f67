// A pass of a convolution and its product's two sides.
#pragma once
#include "cuda/conv/operand.h"
#include "kernels/context.h"

namespace fastdl::cuda {

// One pass over the weight: the forward pass, or a phase of the gradient of the input, with the weight seen from the
// channels that are written.
struct ConvPass {
  const View& source;
  const View& dest;
  const ConvArgs& args;
  ConvAxis h, w;
  int64_t read, written;                              // channels per group
  int64_t read_stride, written_stride, group_stride;  // of the weight
  int64_t pixels() const { return dest.shape[0] * h.count * w.count; }
  bool channels_last() const { return dest.strides[1] == 1 && dest.shape[1] > 1; }
};

// multiply(a, b, output, rows, columns): the pass as a product, whose columns are what is adjacent in the output.
template <class T, class F> void for_product(const ConvPass& pass, const F& multiply) {
  const bool innermost = pass.source.strides[1] == 1 && pass.read > 1;
  const ConvPixels pixels(pass.dest.shape[0], pass.h, pass.w);
  const ConvSteps steps(pass.read, pass.h, pass.w, innermost);
  const ConvWeightOperand<T> weight(pass.args.weight, pass.h, pass.w, pass.group_stride, pass.written_stride, pass.read_stride,
                                    steps);
  const ConvSourceOperand<T> source(
      ConvSource<T>(pass.source, pass.h, pass.w, pass.read * pass.source.strides[1], pixels, steps), innermost);
  const int channels = static_cast<int>(pass.written), places = static_cast<int>(pixels.count);
  if (pass.channels_last())
    multiply(source, weight, ConvOutput<T, true>(pass.dest, pass.args.bias, pass.h, pass.w, pass.written, pixels), places,
             channels);
  else
    multiply(weight, source, ConvOutput<T, false>(pass.dest, pass.args.bias, pass.h, pass.w, pass.written, pixels), channels,
             places);
}

// kernels/conv_mma.cu: bf16 and f16, and float32 as TF32.
void convolve_mma(const Context& context, const ConvPass& pass);

}  // namespace fastdl::cuda
