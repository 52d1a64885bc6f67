#include "bind/ops.h"

#include "bind/def.h"
#include "ops/index.h"

namespace fastdl::bind {

void init_ops(PyObject* m) {
  // --- factories ---
  def<&ops::full>(m, "full(size, fill_value, dtype, device)");
  def<static_cast<Tensor (*)(const Shape&, DType, Device)>(&ops::empty)>(m, "empty(size, dtype, device)");
  def<static_cast<Tensor (*)(const Tensor&, DType)>(&ops::empty_like)>(m, "empty_like(input, dtype)");
  method<&ops::item_scalar>("item(self)");

  // --- views ---
  both<&ops::as_strided>(m, "as_strided(input, size, stride, storage_offset=0)");
  method<&ops::view>("view(self, *shape)");
  def<&ops::reshape>(m, "reshape(input, shape)");
  method<&ops::reshape>("reshape(self, *shape)");
  both<&ops::flatten>(m, "flatten(input, start_dim=0, end_dim=-1)");
  both<&ops::unflatten>(m, "unflatten(input, dim, sizes)");
  both<&ops::transpose>(m, "transpose(input, dim0, dim1)");
  def<&ops::permute>(m, "permute(input, dims)");
  method<&ops::permute>("permute(self, *dims)");
  both<&ops::t>(m, "t(input)");
  method<&ops::expand>("expand(self, *size)");
  both<&ops::squeeze>(m, "squeeze(input, dim=None)");
  both<&ops::unsqueeze>(m, "unsqueeze(input, dim)");
  both<&ops::select>(m, "select(input, dim, index)");
  both<&ops::narrow>(m, "narrow(input, dim, start, length)");
  def<&ops::split>(m, "split(tensor, split_size, dim=0)");
  def<&ops::split_sizes>(m, "split_sizes(tensor, split_sizes, dim=0)");
  both<&ops::chunk>(m, "chunk(input, chunks, dim=0)");
  both<&ops::unbind>(m, "unbind(input, dim=0)");
  both<&ops::diagonal>(m, "diagonal(input, offset=0, dim1=0, dim2=1)");
  method<&ops::unfold>("unfold(self, dimension, size, step)");
  both<&ops::movedim>(m, "movedim(input, source, destination)");
  method<&ops::detach>("detach(self)");

  // --- copies ---
  method<&ops::contiguous>("contiguous(self)");
  both<&ops::clone>(m, "clone(input)");
  both<&ops::fill_>(m, "fill_(input, value)");
  def<&ops::to_dtype>(m, "to_dtype(input, dtype)");
  def<&ops::to_channels_last>(m, "to_channels_last(input)");
  method<&ops::copy_>("copy_(self, src: number)");

  // --- elementwise ---
  def<&ops::add>(m, "add(input, other: number)");
  def<&ops::mul>(m, "mul(input, other: number)");

  // --- matrix products ---
  both<static_cast<Tensor (*)(const Tensor&, const Tensor&)>(&ops::matmul)>(m, "matmul(input, other)");
  def<&ops::matmul_out>(m, "matmul_out(input, other, out)");
  both<&ops::mm>(m, "mm(input, mat2)");
  both<&ops::bmm>(m, "bmm(input, mat2)");
  both<&ops::mv>(m, "mv(input, vec)");
  both<&ops::dot>(m, "dot(input, tensor)");
  both<&ops::outer>(m, "outer(input, vec2)");
  both<&ops::addmm>(m, "addmm(input, mat1, mat2, beta=1.0, alpha=1.0)");
  both<&ops::baddbmm>(m, "baddbmm(input, batch1, batch2, beta=1.0, alpha=1.0)");
  def<&ops::linear>(m, "linear(input, weight, bias=None)");

  // --- reductions ---
  both<static_cast<Tensor (*)(const Tensor&, const ops::Dims&, bool, const std::optional<DType>&)>(&ops::sum)>(
      m, "sum(input, dim=None, keepdim=False, dtype=None)");
  both<&ops::mean>(m, "mean(input, dim=None, keepdim=False, dtype=None)");
  both<&ops::prod>(m, "prod(input, dim=None, keepdim=False, dtype=None)");
  both<&ops::amax>(m, "amax(input, dim=None, keepdim=False)");
  both<&ops::amin>(m, "amin(input, dim=None, keepdim=False)");
  both<&ops::any>(m, "any(input, dim=None, keepdim=False)");
  both<&ops::all>(m, "all(input, dim=None, keepdim=False)");
  def<&ops::var>(m, "var(input, dim, correction, keepdim)");
  def<&ops::std>(m, "std(input, dim, correction, keepdim)");
  def<&ops::vector_norm>(m, "vector_norm(input, ord=2.0, dim=None, keepdim=False)");
  both<&ops::count_nonzero>(m, "count_nonzero(input, dim=None)");

  // --- along one dimension ---
  both<&ops::argmax>(m, "argmax(input, dim=None, keepdim=False)");
  both<&ops::argmin>(m, "argmin(input, dim=None, keepdim=False)");
  def<&ops::max_dim>(m, "max_dim(input, dim, keepdim)");
  def<&ops::min_dim>(m, "min_dim(input, dim, keepdim)");
  both<&ops::cumsum>(m, "cumsum(input, dim, dtype=None)");
  def<&ops::sort>(m, "sort(input, dim, descending, stable)");
  both<&ops::argsort>(m, "argsort(input, dim=-1, descending=False, stable=False)");
  def<&ops::topk>(m, "topk(input, k, dim, largest, sorted)");
  def<&ops::median_dim>(m, "median_dim(input, dim, keepdim)");

  // --- indexing ---
  both<&ops::index_put>(m, "index_put(input, indices, values: number, accumulate=False)");
  method<&ops::index_put_>("index_put_(self, indices, values: number, accumulate=False)");
  both<&ops::nonzero>(m, "nonzero(input)");
  both<&ops::masked_select>(m, "masked_select(input, mask)");

  // --- random ---
  method<&ops::uniform_>("uniform_(self, from=0.0, to=1.0, generator=None)");
  method<&ops::normal_>("normal_(self, mean=0.0, std=1.0, generator=None)");
  def<&ops::random_integers_>(m, "random_integers_(input, low, high, generator=None)");
  both<&ops::bernoulli>(m, "bernoulli(input, generator=None)");
  def<&ops::randperm>(m, "randperm(n, dtype, generator=None)");
  def<&ops::dropout>(m, "dropout(input, p=0.5, training=True)");

  // --- optimizers ---
  def<&ops::sgd_step>(m, "sgd_step(params, grads, momentum_buffers, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False, first=False)");
  def<&ops::adam_step>(m, "adam_step(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, step, lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize)");
  def<&ops::clip_grad_norm_>(m, "clip_grad_norm_(grads, max_norm, norm_type=2.0, error_if_nonfinite=False)");

  // --- convolution ---
  def<&ops::conv1d>(m, "conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)");
  def<&ops::conv2d>(m, "conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)");
  def<&ops::conv_transpose1d>(m, "conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1)");
  def<&ops::conv_transpose2d>(m, "conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1)");
}

}  // namespace fastdl::bind
