#include "bind/ops.h"

#include "bind/def.h"
#include "ops/autocast.h"
#include "ops/index.h"

namespace fastdl::bind {

namespace {

Tensor assign(const std::string& name, const Tensor& input, const Tensor& value) {
  return ops::assign(name.c_str(), input, value);
}

}  // namespace

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
  method<&ops::zero_>("zero_(self)");
  def<&assign>(m, "assign(name, input, value)");
  def<&ops::result_type>(m, "result_type(input: number, other: number)");
  def<&promote>(m, "promote_types(type1, type2)");
  def<&ops::arange>(m, "arange(start, end, step, dtype, device)");
  def<&ops::to_dtype>(m, "to_dtype(input, dtype)");
  def<&ops::to_device>(m, "to_device(input, device, non_blocking=False)");
  def<&ops::to_channels_last>(m, "to_channels_last(input)");
  def<&ops::view_dtype>(m, "view_dtype(input, dtype)");
  method<&ops::copy_>("copy_(self, src: number)");

  // --- elementwise ---
  both<&ops::neg>(m, "neg(input)");
  both<&ops::abs>(m, "abs(input)");
  both<&ops::sign>(m, "sign(input)");
  both<&ops::square>(m, "square(input)");
  both<&ops::sqrt>(m, "sqrt(input)");
  both<widen<&ops::rsqrt>>(m, "rsqrt(input)");
  both<widen<&ops::reciprocal>>(m, "reciprocal(input)");
  both<widen<&ops::exp>>(m, "exp(input)");
  both<&ops::exp2>(m, "exp2(input)");
  both<widen<&ops::expm1>>(m, "expm1(input)");
  both<widen<&ops::log>>(m, "log(input)");
  both<widen<&ops::log2>>(m, "log2(input)");
  both<widen<&ops::log10>>(m, "log10(input)");
  both<widen<&ops::log1p>>(m, "log1p(input)");
  both<&ops::erf>(m, "erf(input)");
  both<&ops::erfc>(m, "erfc(input)");
  both<widen<&ops::erfinv>>(m, "erfinv(input)");
  def<&ops::ndtri>(m, "ndtri(input)");
  both<&ops::lgamma>(m, "lgamma(input)");
  both<&ops::digamma>(m, "digamma(input)");
  both<&ops::i0>(m, "i0(input)");
  def<&ops::i0e>(m, "i0e(input)");
  def<&ops::i1>(m, "i1(input)");
  def<&ops::i1e>(m, "i1e(input)");
  both<&ops::sin>(m, "sin(input)");
  both<&ops::cos>(m, "cos(input)");
  both<widen<&ops::tan>>(m, "tan(input)");
  both<widen<&ops::asin>>(m, "asin(input)");
  both<widen<&ops::acos>>(m, "acos(input)");
  both<&ops::atan>(m, "atan(input)");
  both<widen<&ops::sinh>>(m, "sinh(input)");
  both<widen<&ops::cosh>>(m, "cosh(input)");
  both<&ops::asinh>(m, "asinh(input)");
  both<&ops::acosh>(m, "acosh(input)");
  both<&ops::atanh>(m, "atanh(input)");
  both<&ops::floor>(m, "floor(input)");
  both<&ops::ceil>(m, "ceil(input)");
  both<&ops::round>(m, "round(input)");
  both<&ops::trunc>(m, "trunc(input)");
  both<&ops::logical_not>(m, "logical_not(input)");
  both<&ops::isnan>(m, "isnan(input)");
  both<&ops::isinf>(m, "isinf(input)");
  both<&ops::isfinite>(m, "isfinite(input)");
  both<&ops::signbit>(m, "signbit(input)");
  both<&ops::bitwise_not>(m, "bitwise_not(input)");
  both<&ops::relu>(m, "relu(input)");
  both<&ops::sigmoid>(m, "sigmoid(input)");
  both<&ops::tanh>(m, "tanh(input)");
  def<&ops::log_sigmoid>(m, "log_sigmoid(input)");
  def<&ops::selu>(m, "selu(input)");
  def<&ops::silu>(m, "silu(input)");
  def<&ops::mish>(m, "mish(input)");
  def<&ops::softsign>(m, "softsign(input)");
  def<&ops::hardswish>(m, "hardswish(input)");
  def<&ops::hardsigmoid>(m, "hardsigmoid(input)");
  method<&ops::relu_>("relu_(self)");
  def<&ops::leaky_relu>(m, "leaky_relu(input, negative_slope=0.01)");
  def<&ops::elu>(m, "elu(input, alpha=1.0)");
  def<&ops::celu>(m, "celu(input, alpha=1.0)");
  def<&ops::gelu>(m, "gelu(input, approximate='none')");
  def<widen<&ops::softplus>>(m, "softplus(input, beta=1.0, threshold=20.0)");
  def<&ops::hardtanh>(m, "hardtanh(input, min_val=-1.0, max_val=1.0)");
  both<&ops::clamp>(m, "clamp(input, min: number=None, max: number=None)");
  method<&ops::clamp_>("clamp_(self, min: number=None, max: number=None)");
  method<&ops::in_place<ops::neg>>("neg_(self)");
  method<&ops::in_place<ops::abs>>("abs_(self)");
  method<&ops::in_place<ops::sign>>("sign_(self)");
  method<&ops::in_place<ops::square>>("square_(self)");
  method<&ops::in_place<ops::sqrt>>("sqrt_(self)");
  method<&ops::in_place<ops::rsqrt>>("rsqrt_(self)");
  method<&ops::in_place<ops::reciprocal>>("reciprocal_(self)");
  method<&ops::in_place<ops::exp>>("exp_(self)");
  method<&ops::in_place<ops::exp2>>("exp2_(self)");
  method<&ops::in_place<ops::expm1>>("expm1_(self)");
  method<&ops::in_place<ops::log>>("log_(self)");
  method<&ops::in_place<ops::log2>>("log2_(self)");
  method<&ops::in_place<ops::log10>>("log10_(self)");
  method<&ops::in_place<ops::log1p>>("log1p_(self)");
  method<&ops::in_place<ops::erf>>("erf_(self)");
  method<&ops::in_place<ops::sin>>("sin_(self)");
  method<&ops::in_place<ops::cos>>("cos_(self)");
  method<&ops::in_place<ops::tan>>("tan_(self)");
  method<&ops::in_place<ops::floor>>("floor_(self)");
  method<&ops::in_place<ops::ceil>>("ceil_(self)");
  method<&ops::in_place<ops::round>>("round_(self)");
  method<&ops::in_place<ops::trunc>>("trunc_(self)");
  method<&ops::in_place<ops::sigmoid>>("sigmoid_(self)");
  method<&ops::in_place<ops::tanh>>("tanh_(self)");
  both<&ops::add_scaled>(m, "add(input, other: number, alpha=1)");
  both<&ops::sub_scaled>(m, "sub(input, other: number, alpha=1)");
  both<&ops::mul>(m, "mul(input, other: number)");
  both<&ops::div>(m, "div(input, other: number)");
  both<&ops::floor_divide>(m, "floor_divide(input, other: number)");
  both<&ops::remainder>(m, "remainder(input, other: number)");
  both<&ops::fmod>(m, "fmod(input, other: number)");
  both<widest<&ops::atan2>>(m, "atan2(input, other: number)");
  both<&ops::hypot>(m, "hypot(input, other: number)");
  both<&ops::copysign>(m, "copysign(input, other: number)");
  both<&ops::nextafter>(m, "nextafter(input, other)");
  both<&ops::igamma>(m, "igamma(input, other: number)");
  both<&ops::igammac>(m, "igammac(input, other: number)");
  def<&ops::zeta>(m, "zeta(input: number, other: number)");
  both<&ops::maximum>(m, "maximum(input, other: number)");
  both<&ops::minimum>(m, "minimum(input, other: number)");
  both<&ops::bitwise_and>(m, "bitwise_and(input, other: number)");
  both<&ops::bitwise_or>(m, "bitwise_or(input, other: number)");
  both<&ops::bitwise_xor>(m, "bitwise_xor(input, other: number)");
  both<&ops::bitwise_left_shift>(m, "bitwise_left_shift(input, other: number)");
  both<&ops::bitwise_right_shift>(m, "bitwise_right_shift(input, other: number)");
  both<&ops::gcd>(m, "gcd(input, other: number)");
  both<&ops::eq>(m, "eq(input, other: number)");
  both<&ops::ne>(m, "ne(input, other: number)");
  both<&ops::lt>(m, "lt(input, other: number)");
  both<&ops::le>(m, "le(input, other: number)");
  both<&ops::gt>(m, "gt(input, other: number)");
  both<&ops::ge>(m, "ge(input, other: number)");
  both<&ops::logical_and>(m, "logical_and(input, other: number)");
  both<&ops::logical_or>(m, "logical_or(input, other: number)");
  both<&ops::logical_xor>(m, "logical_xor(input, other: number)");
  both<widen<&ops::pow>>(m, "pow(input: number, exponent: number)");
  def<&ops::where>(m, "where(condition, input: number, other: number)");
  both<&ops::masked_fill>(m, "masked_fill(input, mask, value: number)");
  both<widest<&ops::addcmul>>(m, "addcmul(input, tensor1, tensor2, value=1.0)");
  both<widest<&ops::addcdiv>>(m, "addcdiv(input, tensor1, tensor2, value=1.0)");
  both<&ops::lerp>(m, "lerp(input, end, weight: number)");
  method<&ops::add_scaled_>("add_(self, other: number, alpha=1)");
  method<&ops::sub_scaled_>("sub_(self, other: number, alpha=1)");
  method<&ops::mul_>("mul_(self, other: number)");
  method<&ops::div_>("div_(self, other: number)");
  method<&ops::pow_>("pow_(self, exponent: number)");
  method<&ops::masked_fill_>("masked_fill_(self, mask, value: number)");
  method<&ops::lerp_>("lerp_(self, end, weight: number)");
  method<&ops::addcmul_>("addcmul_(self, tensor1, tensor2, value=1.0)");
  method<&ops::addcdiv_>("addcdiv_(self, tensor1, tensor2, value=1.0)");

  // --- matrix products ---
  both<lower<static_cast<Tensor (*)(const Tensor&, const Tensor&)>(&ops::matmul)>>(m, "matmul(input, other)");
  def<&ops::matmul_out>(m, "matmul_out(input, other, out)");
  both<lower<&ops::mm>>(m, "mm(input, mat2)");
  both<lower<&ops::bmm>>(m, "bmm(input, mat2)");
  both<lower<&ops::mv>>(m, "mv(input, vec)");
  both<widest<&ops::dot>>(m, "dot(input, tensor)");
  both<&ops::outer>(m, "outer(input, vec2)");
  both<lower<&ops::addmm>>(m, "addmm(input, mat1, mat2, beta=1.0, alpha=1.0)");
  both<lower<&ops::baddbmm>>(m, "baddbmm(input, batch1, batch2, beta=1.0, alpha=1.0)");
  def<lower<&ops::linear>>(m, "linear(input, weight, bias=None)");
  def<&ops::linear_int8>(m, "linear_int8(input, weight, scale, sums, bias=None)");

  // --- recurrent layers ---
  def<lower<&ops::lstm_layer>>(m, "lstm_layer(input, h0, c0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, reverse=False)");
  def<lower<&ops::gru_layer>>(m, "gru_layer(input, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, reverse=False)");
  def<lower<&ops::rnn_layer>>(
      m, "rnn_layer(input, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, nonlinearity='tanh', reverse=False)");

  // --- reductions ---
  both<widen<static_cast<Tensor (*)(const Tensor&, const ops::Dims&, bool, const std::optional<DType>&)>(&ops::sum)>>(
      m, "sum(input, dim=None, keepdim=False, dtype=None)");
  both<&ops::mean>(m, "mean(input, dim=None, keepdim=False, dtype=None)");
  both<widen<&ops::prod>>(m, "prod(input, dim=None, keepdim=False, dtype=None)");
  both<&ops::amax>(m, "amax(input, dim=None, keepdim=False)");
  both<&ops::amin>(m, "amin(input, dim=None, keepdim=False)");
  both<&ops::any>(m, "any(input, dim=None, keepdim=False)");
  both<&ops::all>(m, "all(input, dim=None, keepdim=False)");
  def<&ops::var>(m, "var(input, dim, correction, keepdim)");
  def<&ops::std>(m, "std(input, dim, correction, keepdim)");
  def<widen<&ops::vector_norm>>(m, "vector_norm(input, ord=2.0, dim=None, keepdim=False)");
  both<&ops::count_nonzero>(m, "count_nonzero(input, dim=None)");

  // --- along one dimension ---
  both<&ops::argmax>(m, "argmax(input, dim=None, keepdim=False)");
  both<&ops::argmin>(m, "argmin(input, dim=None, keepdim=False)");
  def<&ops::max_dim>(m, "max_dim(input, dim, keepdim)");
  def<&ops::min_dim>(m, "min_dim(input, dim, keepdim)");
  both<widen<&ops::cumsum>>(m, "cumsum(input, dim, dtype=None)");
  both<widen<&ops::cumprod>>(m, "cumprod(input, dim, dtype=None)");
  both<&ops::logcumsumexp>(m, "logcumsumexp(input, dim)");
  def<&ops::cummax>(m, "cummax(input, dim)");
  def<&ops::cummin>(m, "cummin(input, dim)");
  def<&ops::sort>(m, "sort(input, dim, descending, stable)");
  both<&ops::argsort>(m, "argsort(input, dim=-1, descending=False, stable=False)");
  def<&ops::topk>(m, "topk(input, k, dim, largest, sorted)");
  def<&ops::median_dim>(m, "median_dim(input, dim, keepdim)");

  // --- indexing ---
  both<widest<&ops::index_put>>(m, "index_put(input, indices, values: number, accumulate=False)");
  method<&ops::index_put_>("index_put_(self, indices, values: number, accumulate=False)");
  both<&ops::nonzero>(m, "nonzero(input)");
  both<&ops::masked_select>(m, "masked_select(input, mask)");

  both<&ops::gather>(m, "gather(input, dim, index)");
  both<&ops::scatter>(m, "scatter(input, dim, index, src: number)");
  method<&ops::scatter_>("scatter_(self, dim, index, src: number)");
  both<widest<&ops::scatter_add>>(m, "scatter_add(input, dim, index, src)");
  method<&ops::scatter_add_>("scatter_add_(self, dim, index, src)");
  both<&ops::scatter_reduce>(m, "scatter_reduce(input, dim, index, src, reduce, include_self=True)");
  both<&ops::take_along_dim>(m, "take_along_dim(input, indices, dim=None)");
  both<&ops::index_select>(m, "index_select(input, dim, index)");
  both<&ops::index_add>(m, "index_add(input, dim, index, source, alpha=1)");
  method<&ops::index_add_>("index_add_(self, dim, index, source, alpha=1)");
  def<&ops::embedding>(m, "embedding(weight, indices, padding_idx=None)");

  // --- joining, repeating, rearranging ---
  def<widest<&ops::cat>>(m, "cat(tensors, dim=0)");
  def<widest<&ops::stack>>(m, "stack(tensors, dim=0)");
  method<&ops::repeat>("repeat(self, *repeats)");
  def<&ops::tile>(m, "tile(input, dims)");
  method<&ops::tile>("tile(self, *dims)");
  def<&ops::repeat_interleave>(m, "repeat_interleave(input, repeats, dim=None)");
  def<&ops::repeat_interleave_tensor>(m, "repeat_interleave_tensor(input, repeats, dim=None)");
  def<&ops::flip>(m, "flip(input, dims)");
  method<&ops::flip>("flip(self, *dims)");
  both<&ops::roll>(m, "roll(input, shifts, dims=())");
  both<&ops::tril>(m, "tril(input, diagonal=0)");
  both<&ops::triu>(m, "triu(input, diagonal=0)");

  // --- random ---
  method<&ops::uniform_>("uniform_(self, from=0.0, to=1.0, generator=None)");
  method<&ops::normal_>("normal_(self, mean=0.0, std=1.0, generator=None)");
  def<&ops::random_integers_>(m, "random_integers_(input, low, high, generator=None)");
  both<&ops::bernoulli>(m, "bernoulli(input, generator=None)");
  def<&ops::randperm>(m, "randperm(n, dtype, generator=None)");
  def<&ops::dropout>(m, "dropout(input, p=0.5, training=True)");
  def<&ops::random_crop>(m, "random_crop(images, size, padding, fill, mode, generator=None)");
  def<&ops::random_flip>(m, "random_flip(images, p, dim, generator=None)");
  def<&ops::random_erasing>(
      m, "random_erasing(images, p, least_scale, most_scale, least_ratio, most_ratio, value, generator=None)");

  // --- optimizers ---
  def<&ops::optimizer_step>(
      m,
      "optimizer_step(rule, params, grads, states, cells, lr, options=(), weight_decay=0.0, decoupled=False, "
      "maximize=False, lr_cell=None)");
  def<&ops::clip_grad_norm_>(m, "clip_grad_norm_(grads, max_norm, norm_type=2.0, error_if_nonfinite=False)");

  // --- convolution ---
  def<lower<&ops::conv1d>>(m, "conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)");
  def<lower<&ops::conv2d>>(m, "conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)");
  def<lower<&ops::conv_transpose1d>>(
      m, "conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1)");
  def<lower<&ops::conv_transpose2d>>(
      m, "conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1)");

  // --- softmax, normalization ---
  both<widen<&ops::softmax>>(m, "softmax(input, dim)");
  both<widen<&ops::log_softmax>>(m, "log_softmax(input, dim)");
  def<widen<&ops::layer_norm>>(m, "layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05)");
  def<widen<&ops::rms_norm>>(m, "rms_norm(input, normalized_shape, weight=None, eps=None)");
  def<widen<&ops::group_norm>>(m, "group_norm(input, num_groups, weight=None, bias=None, eps=1e-05)");

  // --- attention ---
  def<lower<&ops::scaled_dot_product_attention>>(
      m,
      "scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, "
      "enable_gqa=False)");

  // --- losses ---
  def<widen<&ops::cross_entropy>>(
      m, "cross_entropy(input, target, weight=None, ignore_index=-100, reduction='mean', label_smoothing=0.0)");
  def<widen<&ops::nll_loss>>(m, "nll_loss(input, target, weight=None, ignore_index=-100, reduction='mean')");
  def<widen<&ops::mse_loss>>(m, "mse_loss(input, target, reduction='mean')");
  def<widen<&ops::l1_loss>>(m, "l1_loss(input, target, reduction='mean')");
  def<widen<&ops::smooth_l1_loss>>(m, "smooth_l1_loss(input, target, reduction='mean', beta=1.0)");
  def<widen<&ops::huber_loss>>(m, "huber_loss(input, target, reduction='mean', delta=1.0)");
  def<widen<&ops::binary_cross_entropy>>(m, "binary_cross_entropy(input, target, weight=None, reduction='mean')");
  def<widen<&ops::binary_cross_entropy_with_logits>>(
      m, "binary_cross_entropy_with_logits(input, target, weight=None, reduction='mean', pos_weight=None)");
  def<widen<&ops::kl_div>>(m, "kl_div(input, target, reduction='mean', log_target=False)");

  // --- the machine's ceilings ---
  def<&ops::probe_flops>(m, "probe_flops(iterations, tasks, device='cpu')");
  def<&ops::probe_copy>(m, "probe_copy(target, source, streaming)");
  // --- pooling ---
  def<&ops::max_pool>(m, "max_pool(input, dims, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False)");
  def<&ops::max_pool_with_indices>(
      m, "max_pool_with_indices(input, dims, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False)");
  def<&ops::avg_pool>(
      m,
      "avg_pool(input, dims, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None)");
  def<&ops::adaptive_max_pool>(m, "adaptive_max_pool(input, dims, output_size)");
  def<&ops::adaptive_avg_pool>(m, "adaptive_avg_pool(input, dims, output_size)");

  // --- batch norm ---
  def<&ops::batch_norm>(
      m, "batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5)");
}

}  // namespace fastdl::bind
