// Every op: checks, output, kernel launch and, beside the forward, the gradient. Grouped by family, in the order of the
// files that define them.
#pragma once
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "autograd/autograd.h"
#include "core/generator.h"
#include "core/tensor.h"

namespace fastdl {

// A Python number, or a 0-d value: what fill, clamp and the like take.
struct Scalar {
  enum Kind { boolean, integer, floating } kind = floating;
  double d = 0;
  int64_t i = 0;
  Scalar() = default;
  Scalar(bool v) : kind(boolean), d(v), i(v) {}
  Scalar(int64_t v) : kind(integer), d(static_cast<double>(v)), i(v) {}
  Scalar(int v) : Scalar(static_cast<int64_t>(v)) {}
  Scalar(double v) : kind(floating), d(v), i(0) {}
  DType dtype() const;  // bool, int64, or the default floating-point type
};

// An option of an op that may be another number at each call of a captured step: a plan reads it again before each run.
class Number {
 public:
  struct Source : RefCounted {
    virtual double read() = 0;
  };
  Number(double value = 0) : value_(value) {}
  explicit Number(Ref<Source> source) : value_(source->read()), source_(std::move(source)) {}
  double now() const { return source_ ? source_->read() : value_; }
  operator double() const { return value_; }  // as it was at the call

 private:
  double value_;
  Ref<Source> source_;
};

DType default_dtype();
void set_default_dtype(DType t);

namespace ops {

// --- factories.cpp ---
Tensor empty(const Shape& shape, DType dtype, Device device = {});
Tensor empty_like(const Tensor& t);                     // dense, in t's layout (channels-last stays so)
Tensor empty_like(const Tensor& t, DType dtype);
Tensor full(const Shape& shape, const Scalar& value, DType dtype, Device device = {});
Tensor zeros(const Shape& shape, DType dtype, Device device = {});
Tensor ones(const Shape& shape, DType dtype, Device device = {});
Tensor zeros_like(const Tensor& t);
Tensor ones_like(const Tensor& t);
Tensor scalar_tensor(const Scalar& value);              // 0-d, marked as a Python number
double item(const Tensor& t);                           // of one element
Scalar item_scalar(const Tensor& t);

// --- views.cpp: the same memory; their gradients are views or writes into zeros ---
Tensor as_strided(const Tensor& t, const Shape& shape, const Shape& strides, int64_t offset);  // offset from t's storage
Tensor view_dtype(const Tensor& t, DType dtype);        // the same bytes, read as another type; without history
Tensor view(const Tensor& t, const Shape& shape);       // one size may be -1; throws when strides do not allow it
Tensor reshape(const Tensor& t, const Shape& shape);    // a view where possible, else a copy
Tensor flatten(const Tensor& t, int64_t start_dim, int64_t end_dim);
Tensor unflatten(const Tensor& t, int64_t dim, const Shape& sizes);
Tensor transpose(const Tensor& t, int64_t dim0, int64_t dim1);
Tensor permute(const Tensor& t, const Shape& dims);
Tensor t(const Tensor& t);
Tensor expand(const Tensor& t, const Shape& shape);     // -1 keeps a size
Tensor squeeze(const Tensor& t, const std::optional<Shape>& dims);
Tensor unsqueeze(const Tensor& t, int64_t dim);
Tensor select(const Tensor& t, int64_t dim, int64_t index);
Tensor slice(const Tensor& t, int64_t dim, int64_t start, int64_t stop, int64_t step);  // already clamped, step >= 1
Tensor narrow(const Tensor& t, int64_t dim, int64_t start, int64_t length);
TensorList split(const Tensor& t, int64_t size, int64_t dim);
TensorList split_sizes(const Tensor& t, const std::vector<int64_t>& sizes, int64_t dim);
TensorList chunk(const Tensor& t, int64_t chunks, int64_t dim);
TensorList unbind(const Tensor& t, int64_t dim);
Tensor diagonal(const Tensor& t, int64_t offset, int64_t dim1, int64_t dim2);
Tensor unfold(const Tensor& t, int64_t dim, int64_t size, int64_t step);
Tensor movedim(const Tensor& t, const Shape& source, const Shape& destination);
Tensor detach(const Tensor& t);

// --- copy.cpp ---
Tensor contiguous(const Tensor& t);                     // t itself if it is
Tensor clone(const Tensor& t);                          // dense, in t's layout
Tensor to_dtype(const Tensor& t, DType dtype);          // t itself if it is
Tensor to_channels_last(const Tensor& t);
// Of vectors (N, C, L) too: what is_channels_last says of them.
Tensor channels_innermost(const Tensor& t);
// t itself if it is there; else dense, in t's layout. Without waiting for pinned memory to be read, if asked.
Tensor to_device(const Tensor& t, Device device, bool non_blocking = false);
Tensor copy_(const Tensor& self, const Tensor& source); // broadcast and cast into self

Tensor arange(const Scalar& start, const Scalar& end, const Scalar& step, DType dtype, Device device = {});
Tensor fill_(const Tensor& self, const Scalar& value);
Tensor zero_(const Tensor& self);

// --- unary.cpp: integers become the default floating-point type where the function has fractional values ---
Tensor neg(const Tensor& x);
Tensor abs(const Tensor& x);
Tensor sign(const Tensor& x);
Tensor square(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);
Tensor reciprocal(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor exp2(const Tensor& x);
Tensor expm1(const Tensor& x);
Tensor log(const Tensor& x);
Tensor log2(const Tensor& x);
Tensor log10(const Tensor& x);
Tensor log1p(const Tensor& x);
Tensor erf(const Tensor& x);
Tensor erfc(const Tensor& x);
Tensor erfinv(const Tensor& x);
Tensor ndtri(const Tensor& x);                          // the normal distribution's quantile
Tensor lgamma(const Tensor& x);
Tensor digamma(const Tensor& x);
Tensor i0(const Tensor& x);                             // modified Bessel functions; i0e and i1e times e^-|x|
Tensor i0e(const Tensor& x);
Tensor i1(const Tensor& x);
Tensor i1e(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor tan(const Tensor& x);
Tensor asin(const Tensor& x);
Tensor acos(const Tensor& x);
Tensor atan(const Tensor& x);
Tensor sinh(const Tensor& x);
Tensor cosh(const Tensor& x);
Tensor asinh(const Tensor& x);
Tensor acosh(const Tensor& x);
Tensor atanh(const Tensor& x);
Tensor floor(const Tensor& x);
Tensor ceil(const Tensor& x);
Tensor round(const Tensor& x);
Tensor trunc(const Tensor& x);
Tensor logical_not(const Tensor& x);
Tensor isnan(const Tensor& x);
Tensor isinf(const Tensor& x);
Tensor isfinite(const Tensor& x);
Tensor signbit(const Tensor& x);
Tensor bitwise_not(const Tensor& x);

// --- activations.cpp ---
Tensor relu(const Tensor& x);
Tensor relu_(const Tensor& self);
Tensor sigmoid(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor log_sigmoid(const Tensor& x);
Tensor leaky_relu(const Tensor& x, double slope);
Tensor elu(const Tensor& x, double alpha);
Tensor selu(const Tensor& x);
Tensor celu(const Tensor& x, double alpha);
Tensor gelu(const Tensor& x, const std::string& approximate);  // "none" or "tanh"
Tensor silu(const Tensor& x);
Tensor mish(const Tensor& x);
Tensor softplus(const Tensor& x, double beta, double threshold);
Tensor softsign(const Tensor& x);
Tensor hardswish(const Tensor& x);
Tensor hardsigmoid(const Tensor& x);
Tensor hardtanh(const Tensor& x, double low, double high);
Tensor clamp(const Tensor& x, const std::optional<Tensor>& low, const std::optional<Tensor>& high);

// --- binary.cpp: operands broadcast, and are promoted as PyTorch does ---
// Tensors with dimensions come before 0-d tensors, and those before Python numbers; an operand of a later category
// decides only when its kind (bool < integer < floating) is higher.
DType result_type(const Tensor& a, const Tensor& b);
Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
Tensor floor_divide(const Tensor& a, const Tensor& b);
Tensor remainder(const Tensor& a, const Tensor& b);
Tensor fmod(const Tensor& a, const Tensor& b);
Tensor pow(const Tensor& a, const Tensor& b);
Tensor atan2(const Tensor& a, const Tensor& b);
Tensor hypot(const Tensor& a, const Tensor& b);
Tensor copysign(const Tensor& a, const Tensor& b);
Tensor nextafter(const Tensor& a, const Tensor& b);
Tensor igamma(const Tensor& a, const Tensor& x);        // the lower regularized incomplete gamma function, and the upper
Tensor igammac(const Tensor& a, const Tensor& x);
Tensor zeta(const Tensor& s, const Tensor& q);          // Hurwitz' zeta function
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor add_scaled(const Tensor& a, const Tensor& b, const Scalar& alpha);  // a + alpha b
Tensor sub_scaled(const Tensor& a, const Tensor& b, const Scalar& alpha);
Tensor bitwise_and(const Tensor& a, const Tensor& b);
Tensor bitwise_or(const Tensor& a, const Tensor& b);
Tensor bitwise_xor(const Tensor& a, const Tensor& b);
Tensor bitwise_left_shift(const Tensor& a, const Tensor& b);
Tensor bitwise_right_shift(const Tensor& a, const Tensor& b);
Tensor gcd(const Tensor& a, const Tensor& b);
Tensor eq(const Tensor& a, const Tensor& b);
Tensor ne(const Tensor& a, const Tensor& b);
Tensor lt(const Tensor& a, const Tensor& b);
Tensor le(const Tensor& a, const Tensor& b);
Tensor gt(const Tensor& a, const Tensor& b);
Tensor ge(const Tensor& a, const Tensor& b);
Tensor logical_and(const Tensor& a, const Tensor& b);
Tensor logical_or(const Tensor& a, const Tensor& b);
Tensor logical_xor(const Tensor& a, const Tensor& b);
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
Tensor masked_fill(const Tensor& x, const Tensor& mask, const Tensor& value);
Tensor addcmul(const Tensor& x, const Tensor& a, const Tensor& b, double value);
Tensor addcdiv(const Tensor& x, const Tensor& a, const Tensor& b, double value);
Tensor lerp(const Tensor& start, const Tensor& end, const Tensor& weight);
Tensor add_(const Tensor& self, const Tensor& other);
Tensor sub_(const Tensor& self, const Tensor& other);
Tensor add_scaled_(const Tensor& self, const Tensor& other, const Scalar& alpha);
Tensor sub_scaled_(const Tensor& self, const Tensor& other, const Scalar& alpha);
Tensor mul_(const Tensor& self, const Tensor& other);
Tensor div_(const Tensor& self, const Tensor& other);
Tensor pow_(const Tensor& self, const Tensor& exponent);
Tensor clamp_(const Tensor& self, const std::optional<Tensor>& low, const std::optional<Tensor>& high);
Tensor masked_fill_(const Tensor& self, const Tensor& mask, const Tensor& value);
Tensor lerp_(const Tensor& self, const Tensor& end, const Tensor& weight);
Tensor addcmul_(const Tensor& self, const Tensor& a, const Tensor& b, double value);
Tensor addcdiv_(const Tensor& self, const Tensor& a, const Tensor& b, double value);
// self = value, with value's history: for in-place ops whose gradient needs the old self.
Tensor assign(const char* name, const Tensor& self, const Tensor& value);
template <Tensor (*Op)(const Tensor&)> Tensor in_place(const Tensor& self) {
  return assign("in-place op", self, Op(records(self) ? clone(self) : self));
}
template <Tensor (*Op)(const Tensor&, const Tensor&)> Tensor in_place_with(const Tensor& self, const Tensor& other) {
  return assign("in-place op", self, Op(records(self) ? clone(self) : self, other));
}

// --- matmul.cpp ---
Tensor matmul(const Tensor& a, const Tensor& b);
Tensor matmul_out(const Tensor& a, const Tensor& b, const Tensor& out);  // returns out
Tensor mm(const Tensor& a, const Tensor& b);
Tensor bmm(const Tensor& a, const Tensor& b);
Tensor mv(const Tensor& a, const Tensor& x);
Tensor dot(const Tensor& a, const Tensor& b);
Tensor outer(const Tensor& a, const Tensor& b);
Tensor addmm(const Tensor& input, const Tensor& a, const Tensor& b, double beta, double alpha);
Tensor baddbmm(const Tensor& input, const Tensor& a, const Tensor& b, double beta, double alpha);
Tensor linear(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias);
// input (..., K), weight as csrc/kernels/int8.h packs it; not recorded.
Tensor linear_int8(const Tensor& input, const Tensor& weight, const Tensor& scale, const Tensor& sums,
                   const std::optional<Tensor>& bias);

// --- rnn.cpp: one direction of one layer; input (T, B, I), states (B, H), weights and gate order as PyTorch's ---
std::tuple<Tensor, Tensor, Tensor> lstm_layer(const Tensor& input, const Tensor& h0, const Tensor& c0, const Tensor& weight_ih,
                                              const Tensor& weight_hh, const std::optional<Tensor>& bias_ih,
                                              const std::optional<Tensor>& bias_hh, bool reverse);  // output, h_n, c_n
std::pair<Tensor, Tensor> gru_layer(const Tensor& input, const Tensor& h0, const Tensor& weight_ih, const Tensor& weight_hh,
                                    const std::optional<Tensor>& bias_ih, const std::optional<Tensor>& bias_hh, bool reverse);
std::pair<Tensor, Tensor> rnn_layer(const Tensor& input, const Tensor& h0, const Tensor& weight_ih, const Tensor& weight_hh,
                                    const std::optional<Tensor>& bias_ih, const std::optional<Tensor>& bias_hh,
                                    const std::string& nonlinearity, bool reverse);

// --- reduce.cpp: dims are all when none are given ---
using Dims = std::optional<Shape>;
Tensor sum(const Tensor& t, const Dims& dims, bool keepdim);
Tensor sum(const Tensor& t, const Dims& dims, bool keepdim, const std::optional<DType>& dtype);
Tensor sum_to(const Tensor& t, const Shape& shape);     // the gradient of broadcasting
Tensor mean(const Tensor& t, const Dims& dims, bool keepdim, const std::optional<DType>& dtype);
Tensor prod(const Tensor& t, const Dims& dims, bool keepdim, const std::optional<DType>& dtype);
Tensor amax(const Tensor& t, const Dims& dims, bool keepdim);
Tensor amin(const Tensor& t, const Dims& dims, bool keepdim);
Tensor any(const Tensor& t, const Dims& dims, bool keepdim);
Tensor all(const Tensor& t, const Dims& dims, bool keepdim);
Tensor var(const Tensor& t, const Dims& dims, double correction, bool keepdim);
Tensor std(const Tensor& t, const Dims& dims, double correction, bool keepdim);
Tensor vector_norm(const Tensor& t, double order, const Dims& dims, bool keepdim);
Tensor count_nonzero(const Tensor& t, const Dims& dims);

// --- scan.cpp ---
Tensor argmax(const Tensor& t, const std::optional<int64_t>& dim, bool keepdim);
Tensor argmin(const Tensor& t, const std::optional<int64_t>& dim, bool keepdim);
std::pair<Tensor, Tensor> max_dim(const Tensor& t, int64_t dim, bool keepdim);  // values, indices
std::pair<Tensor, Tensor> min_dim(const Tensor& t, int64_t dim, bool keepdim);
Tensor cumsum(const Tensor& t, int64_t dim, const std::optional<DType>& dtype);
Tensor cumprod(const Tensor& t, int64_t dim, const std::optional<DType>& dtype);
Tensor logcumsumexp(const Tensor& t, int64_t dim);
std::pair<Tensor, Tensor> cummax(const Tensor& t, int64_t dim);                 // values, indices
std::pair<Tensor, Tensor> cummin(const Tensor& t, int64_t dim);
std::pair<Tensor, Tensor> sort(const Tensor& t, int64_t dim, bool descending, bool stable);
Tensor argsort(const Tensor& t, int64_t dim, bool descending, bool stable);
std::pair<Tensor, Tensor> topk(const Tensor& t, int64_t k, int64_t dim, bool largest, bool sorted);
std::pair<Tensor, Tensor> median_dim(const Tensor& t, int64_t dim, bool keepdim);

// --- random.cpp ---
Tensor uniform_(const Tensor& self, double from, double to, Generator* generator);
Tensor normal_(const Tensor& self, double mean, double std, Generator* generator);
Tensor random_integers_(const Tensor& self, int64_t low, int64_t high, Generator* generator);  // [low, high)
Tensor bernoulli(const Tensor& probabilities, Generator* generator);
Tensor randperm(int64_t n, DType dtype, Generator* generator);
Tensor dropout(const Tensor& t, double p, bool training);

// --- augment.cpp: images (N, C, H, W), each with numbers of its own ---
// Windows of `size` (height, width) of the images padded by (left, top, right, bottom). mode: "constant" (fill), "edge",
// "reflect" (without the edge) or "symmetric".
Tensor random_crop(const Tensor& images, const Shape& size, const Shape& padding, const Scalar& fill, const std::string& mode,
                   Generator* generator);
Tensor random_flip(const Tensor& images, double p, int64_t dim, Generator* generator);
Tensor random_erasing(const Tensor& images, double p, double least_scale, double most_scale, double least_ratio,
                      double most_ratio, const Tensor& value, Generator* generator);

// --- gather.cpp ---
Tensor gather(const Tensor& t, int64_t dim, const Tensor& index);
Tensor scatter(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& src);
Tensor scatter_(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src);
Tensor scatter_add(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& src);
Tensor scatter_add_(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src);
// reduce: "sum", "prod", "mean", "amax" or "amin" of what is scattered to a place, and of what was there if include_self.
Tensor scatter_reduce(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& src, const std::string& reduce,
                      bool include_self);
Tensor take_along_dim(const Tensor& t, const Tensor& indices, const std::optional<int64_t>& dim);
Tensor index_select(const Tensor& t, int64_t dim, const Tensor& index);
Tensor index_add(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& source, const Scalar& alpha);
Tensor index_add_(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source, const Scalar& alpha);
Tensor embedding(const Tensor& weight, const Tensor& indices, const std::optional<int64_t>& padding_idx);

// --- join.cpp ---
Tensor cat(const TensorList& tensors, int64_t dim);
Tensor stack(const TensorList& tensors, int64_t dim);
Tensor repeat(const Tensor& t, const Shape& repeats);
Tensor tile(const Tensor& t, const Shape& dims);
Tensor repeat_interleave(const Tensor& t, int64_t repeats, const std::optional<int64_t>& dim);
Tensor repeat_interleave_tensor(const Tensor& t, const Tensor& repeats, const std::optional<int64_t>& dim);
Tensor flip(const Tensor& t, const Shape& dims);
Tensor roll(const Tensor& t, const Shape& shifts, const Shape& dims);
Tensor tril(const Tensor& t, int64_t diagonal);
Tensor triu(const Tensor& t, int64_t diagonal);

// --- optimizer.cpp: in place, not recorded ---
// One step of a rule of kernels/optimizer_rules.def over all parameters. states: for each state of the rule a list of
// tensors like the parameters; cells: for each cell a list of float32 tensors of one element, counted up by the kernel. A
// parameter whose gradient is undefined is left alone. Where lr_cell is a float32 tensor on the parameters' device, the
// kernel reads the learning rate there, and not lr.
void optimizer_step(const std::string& rule, const TensorList& params, const TensorList& grads,
                    const std::vector<TensorList>& states, const std::vector<TensorList>& cells, const Number& lr,
                    const std::vector<Number>& options, const Number& weight_decay, bool decoupled, bool maximize,
                    const std::optional<Tensor>& lr_cell);
// Scales all gradients so that their norm, as one vector, is at most max_norm; returns the norm they had (0-d).
Tensor clip_grad_norm_(const TensorList& grads, double max_norm, double norm_type, bool error_if_nonfinite);
// --- conv.cpp ---
// Whether convolutions of 3 x 3 taps on the CPU may use Winograd's algorithm.
bool winograd_enabled();
void set_winograd_enabled(bool on);
// stride, padding and dilation: one value, or one a dimension. Weights (O, C / groups, kernel...).
Tensor conv1d(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, const Shape& stride,
              const Shape& padding, const Shape& dilation, int64_t groups);
Tensor conv2d(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, const Shape& stride,
              const Shape& padding, const Shape& dilation, int64_t groups);
// Weights (C, O / groups, kernel...).
Tensor conv_transpose1d(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, const Shape& stride,
                        const Shape& padding, const Shape& output_padding, int64_t groups, const Shape& dilation);
Tensor conv_transpose2d(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, const Shape& stride,
                        const Shape& padding, const Shape& output_padding, int64_t groups, const Shape& dilation);
// --- softmax.cpp ---
Tensor softmax(const Tensor& input, int64_t dim);
Tensor log_softmax(const Tensor& input, int64_t dim);

// --- layer_norm.cpp ---
Tensor layer_norm(const Tensor& input, const Shape& normalized_shape, const std::optional<Tensor>& weight,
                  const std::optional<Tensor>& bias, double eps);
Tensor rms_norm(const Tensor& input, const Shape& normalized_shape, const std::optional<Tensor>& weight,
                const std::optional<double>& eps);
Tensor group_norm(const Tensor& input, int64_t num_groups, const std::optional<Tensor>& weight,
                  const std::optional<Tensor>& bias, double eps);

// --- attention.cpp ---
Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const std::optional<Tensor>& attn_mask, double dropout_p, bool is_causal,
                                    const std::optional<double>& scale, bool enable_gqa);

// --- cross_entropy.cpp, pointwise_loss.cpp: reduction is 'none', 'mean' or 'sum' ---
Tensor cross_entropy(const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight, int64_t ignore_index,
                     const std::string& reduction, double label_smoothing);
Tensor nll_loss(const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight, int64_t ignore_index,
                const std::string& reduction);
Tensor mse_loss(const Tensor& input, const Tensor& target, const std::string& reduction);
Tensor l1_loss(const Tensor& input, const Tensor& target, const std::string& reduction);
Tensor smooth_l1_loss(const Tensor& input, const Tensor& target, const std::string& reduction, double beta);
Tensor huber_loss(const Tensor& input, const Tensor& target, const std::string& reduction, double delta);
Tensor binary_cross_entropy(const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight,
                            const std::string& reduction);
Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight,
                                        const std::string& reduction, const std::optional<Tensor>& pos_weight);
Tensor kl_div(const Tensor& input, const Tensor& target, const std::string& reduction, bool log_target);  // or 'batchmean'

// --- probe.cpp: work of a known size, for benchmarks ---
Tensor probe_flops(int64_t iterations, int64_t tasks, Device device);
void probe_copy(const Tensor& target, const Tensor& source, bool streaming);

// --- pool.cpp ---
// Over the last `dims` (1 or 2) dimensions. Without stride it is the kernel's size. Indices are offsets in the plane.
Tensor max_pool(const Tensor& input, int64_t dims, const Shape& kernel, const std::optional<Shape>& stride,
                const Shape& padding, const Shape& dilation, bool ceil_mode);
std::pair<Tensor, Tensor> max_pool_with_indices(const Tensor& input, int64_t dims, const Shape& kernel,
                                                const std::optional<Shape>& stride, const Shape& padding, const Shape& dilation,
                                                bool ceil_mode);
Tensor avg_pool(const Tensor& input, int64_t dims, const Shape& kernel, const std::optional<Shape>& stride,
                const Shape& padding, bool ceil_mode, bool count_include_pad, const std::optional<int64_t>& divisor_override);
std::pair<Tensor, Tensor> adaptive_max_pool(const Tensor& input, int64_t dims, const Shape& output_size);
Tensor adaptive_avg_pool(const Tensor& input, int64_t dims, const Shape& output_size);

// --- batch_norm.cpp ---
Tensor batch_norm(const Tensor& input, const std::optional<Tensor>& running_mean, const std::optional<Tensor>& running_var,
                  const std::optional<Tensor>& weight, const std::optional<Tensor>& bias, bool training, double momentum,
                  double eps);

}  // namespace ops

// The shape that a and b broadcast to; throws naming the op and both shapes.
Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b);
// t broadcast to shape without history, for kernels.
View broadcast_view(const Tensor& t, const Shape& shape);
// Throws unless all are on one device.
// Numbers of the host (0-d tensors on the CPU) go with tensors of any device.
void check_same_device(const char* op, std::initializer_list<InputRef> tensors);
inline bool is_number(const Tensor& t) { return t.ndim() == 0 && t.device().is_cpu(); }
void check_floating(const char* op, const Tensor& t);

}  // namespace fastdl
