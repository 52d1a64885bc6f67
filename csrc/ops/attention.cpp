// Scaled dot-product attention.
#include <cmath>

#include "core/generator.h"
#include "ops/fused.h"
#include "ops/launch.h"
#include "ops/ops.h"
#include "ops/precision.h"

namespace fastdl::ops {
namespace {

const char* const kName = "scaled_dot_product_attention";

Shape leading(const Shape& s, int matrix_dims = 2) { return Shape(s.begin(), s.end() - matrix_dims); }
Shape join(Shape lead, std::initializer_list<int64_t> tail) {
  for (int64_t n : tail) lead.push_back(n);
  return lead;
}
int64_t product(const Shape& s) {
  int64_t n = 1;
  for (int64_t size : s) n *= size;
  return n;
}

// A call of the op: query (..., H, T, D); key and value (..., H / group, S, D or E), leading dimensions equal otherwise.
struct Call {
  Tensor query, key, value, mask;
  int64_t group = 1;
  double scale = 1, dropout = 0;
  bool causal = false;
  PhiloxState random{};

  int64_t queries() const { return query.size(-2); }
  int64_t keys() const { return key.size(-2); }
  int64_t heads() const { return product(leading(query.shape())); }
  Shape weights_shape() const { return join(leading(query.shape()), {queries(), keys()}); }

  AttentionArgs args(const Tensor& out, const Tensor& log_sum_exp) const {
    AttentionArgs a{};
    a.query = query.view();
    a.key = key.view();
    a.value = value.view();
    if (mask.defined()) a.mask = broadcast_view(mask, weights_shape());
    a.out = out.view();
    a.log_sum_exp = log_sum_exp.defined() ? log_sum_exp.data() : nullptr;
    a.group = group;
    a.scale = scale;
    a.causal = causal;
    a.tf32 = tf32_in_products();
    a.dropout = dropout;
    a.random = random;
    return a;
  }

  // The same function of plain ops.
  Tensor composed() const {
    const DType dtype = query.dtype(), compute = compute_dtype(dtype);
    const Device device = query.device();
    const auto repeated = [&](const Tensor& t) {  // each key head for the query heads of its group
      const Tensor wide = to_dtype(t, compute);
      if (group == 1) return wide;
      const Shape lead = leading(t.shape());
      Shape grouped = lead;
      grouped.push_back(group);
      return reshape(expand(unsqueeze(wide, -3), join(grouped, {t.size(-2), t.size(-1)})),
                     join(leading(query.shape()), {t.size(-2), t.size(-1)}));
    };
    Tensor scores = mul(matmul(to_dtype(query, compute), transpose(repeated(key), -2, -1)), scalar_tensor(scale));
    Tensor visible;  // bool, broadcastable to the scores
    if (causal) {
      const Tensor t = unsqueeze(cumsum(ones({queries()}, DType::i64, device), 0, {}), -1);
      visible = le(cumsum(ones({keys()}, DType::i64, device), 0, {}), t);
    }
    if (mask.defined()) {
      const bool additive = mask.dtype() != DType::b8;
      const Tensor shown = additive ? ne(mask, scalar_tensor(-INFINITY)) : mask;
      if (additive) scores = add(scores, where(shown, to_dtype(mask, compute), scalar_tensor(0.0)));
      visible = visible.defined() ? bitwise_and(visible, shown) : shown;
    }
    // Finite in place of -infinity, and zero afterwards: a row that sees nothing has no NaN in its gradient either.
    if (visible.defined()) scores = where(visible, scores, scalar_tensor(-1e30));
    Tensor weights = softmax(scores, -1);
    if (visible.defined()) weights = where(visible, weights, scalar_tensor(0.0));
    if (dropout > 0) {
      const Tensor factors = empty(weights_shape(), compute, device);
      launch(&KernelTable::attention_dropout_mask, device,
             AttentionDropoutMaskArgs{factors.data(), heads() * queries(), keys(), dropout, random, compute});
      weights = mul(weights, factors);
    }
    return to_dtype(matmul(weights, repeated(value)), dtype);
  }
};

// Key chunks a head in the backward: tasks enough for the CPU's threads where there are few heads.
int64_t key_chunks(Device device, int64_t key_heads, int64_t keys) {
  if (!device.is_cpu()) return 1;
  const int64_t wanted = (32 + key_heads - 1) / std::max<int64_t>(key_heads, 1), most = keys / 256;
  return std::max<int64_t>(1, std::min(wanted, most));
}

void backward(GradCall& c, const Call& call, const Tensor& out, const Tensor& log_sum_exp) {
  const DType dtype = call.query.dtype(), compute = compute_dtype(dtype);
  const Device device = call.query.device();
  const int64_t chunks = key_chunks(device, product(leading(call.key.shape())), call.keys());
  const Tensor grad_query = empty(join({chunks, call.heads()}, {call.queries(), call.query.size(-1)}), compute, device);
  const Tensor grad_key = empty(call.key.shape(), compute, device), grad_value = empty(call.value.shape(), compute, device);
  const Tensor row_products = empty({call.heads(), call.queries()}, compute, device);
  const Tensor grad_out = c.grad();
  AttentionBackwardArgs args{};
  args.forward = call.args(out, log_sum_exp);
  args.grad_out = grad_out.view();
  args.row_products = row_products.data();
  args.grad_query_parts = grad_query.data();
  args.grad_key = grad_key.data();
  args.grad_value = grad_value.data();
  args.key_chunks = chunks;
  launch(&KernelTable::attention_backward, device, args);
  c.set(0, to_dtype(reshape(chunks == 1 ? grad_query : sum(grad_query, Shape{0}, false), call.query.shape()), dtype));
  c.set(1, to_dtype(grad_key, dtype));
  c.set(2, to_dtype(grad_value, dtype));
}

// An output with the query's order of dimensions in memory: heads cut from (batch, T, H * D) go back there as a view.
Tensor empty_output(const Tensor& query, const Shape& shape) {
  const int n = shape.size();
  if (n < 3 || query.stride(-3) >= query.stride(-2)) return empty(shape, query.dtype(), query.device());
  Shape swapped = shape;
  std::swap(swapped[n - 3], swapped[n - 2]);
  return transpose(empty(swapped, query.dtype(), query.device()), -3, -2);
}

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const std::optional<Tensor>& attn_mask, double dropout_p, bool is_causal,
                                    const std::optional<double>& scale, bool enable_gqa) {
  const int matrix_dims = enable_gqa ? 3 : 2;
  for (const Tensor* t : {&query, &key, &value}) {
    check_floating(kName, *t);
    if (t->ndim() < matrix_dims)
      throw ShapeError(str(kName, ": expected query, key and value of at least ", matrix_dims, " dimensions, got ",
                           query.shape(), ", ", key.shape(), " and ", value.shape()));
  }
  check_same_device(kName, {query, key, value, attn_mask});
  if (query.dtype() != key.dtype() || query.dtype() != value.dtype())
    throw DTypeError(str(kName, ": query, key and value must have one dtype, got ", query.dtype(), ", ", key.dtype(), " and ",
                         value.dtype()));
  if (query.size(-1) != key.size(-1) || key.size(-2) != value.size(-2))
    throw ShapeError(str(kName, ": expected query (..., T, D), key (..., S, D) and value (..., S, E), got ", query.shape(),
                         ", ", key.shape(), " and ", value.shape()));
  if (!(dropout_p >= 0 && dropout_p < 1)) throw ValueError(str(kName, ": dropout_p ", dropout_p, ", expected 0 <= p < 1"));
  if (is_causal && attn_mask) throw ValueError(str(kName, ": attn_mask and is_causal cannot both be given"));

  Call call;
  if (enable_gqa) {
    const int64_t heads = query.size(-3), key_heads = key.size(-3);
    if (value.size(-3) != key_heads || key_heads == 0 || heads % key_heads != 0)
      throw ShapeError(str(kName, ": ", heads, " query heads do not divide among ", key_heads, " key heads and ",
                           value.size(-3), " value heads (query ", query.shape(), ", key ", key.shape(), ", value ",
                           value.shape(), ")"));
    call.group = heads / key_heads;
  }
  const Shape lead =
      broadcast_shapes(kName, broadcast_shapes(kName, leading(query.shape(), matrix_dims), leading(key.shape(), matrix_dims)),
                       leading(value.shape(), matrix_dims));
  const auto same_lead = [&](const Tensor& t) {
    Shape shape = lead;
    for (int d = -matrix_dims; d < 0; ++d) shape.push_back(t.size(d));
    return t.shape() == shape ? t : expand(t, shape);
  };
  call.query = same_lead(query);
  call.key = same_lead(key);
  call.value = same_lead(value);
  call.scale = scale.value_or(1 / std::sqrt(static_cast<double>(query.size(-1))));
  call.dropout = dropout_p;
  call.causal = is_causal;
  if (attn_mask) {
    const Tensor& mask = *attn_mask;
    if (mask.dtype() != DType::b8 && mask.dtype() != query.dtype() && mask.dtype() != compute_dtype(query.dtype()))
      throw DTypeError(str(kName, ": attn_mask is ", mask.dtype(), ", expected bool or ", query.dtype()));
    const Shape weights = call.weights_shape();
    bool fits = mask.ndim() <= weights.size();
    for (int d = 1; fits && d <= mask.ndim(); ++d) fits = mask.size(-d) == 1 || mask.size(-d) == weights[weights.size() - d];
    if (!fits) throw ShapeError(str(kName, ": attn_mask ", mask.shape(), " does not broadcast to ", weights));
    call.mask = mask;
  }
  if (dropout_p > 0) call.random = default_generator().reserve(call.heads() * call.queries() * ((call.keys() + 3) / 4));
  if (grad_enabled() && needs_grad(call.mask)) return call.composed();

  const bool record_gradient = records(call.query, call.key, call.value);
  Tensor out, log_sum_exp;
  {
    GradMode no_grad(false);
    out = empty_output(call.query, join(leading(call.query.shape()), {call.queries(), value.size(-1)}));
    if (record_gradient) log_sum_exp = empty({call.heads(), call.queries()}, compute_dtype(query.dtype()), query.device());
    launch(&KernelTable::attention_forward, query.device(), call.args(out, log_sum_exp));
  }
  if (!record_gradient) return out;
  Call kept = call;
  kept.query = kept.key = kept.value = kept.mask = Tensor();
  record(kName, out, {call.query, call.key, call.value},
         [kept, query = save(call.query), key = save(call.key), value = save(call.value), mask = save(call.mask),
          out = save_output(out), log_sum_exp](GradCall& c) {
           Call now = kept;
           now.query = c(query);
           now.key = c(key);
           now.value = c(value);
           now.mask = c(mask);
           if (grad_enabled()) composed_gradient(c, {now.query, now.key, now.value}, [&] { return now.composed(); });
           else backward(c, now, c(out), log_sum_exp);
         });
  return out;
}

}  // namespace fastdl::ops
