#include "ops/operands.h"

#include <string_view>

namespace fastdl {

namespace {

// The type that sums and statistics of a dtype are kept in.
DType wide(DType t) { return t == DType::f64 ? t : DType::f32; }
double product(const View& v) { return static_cast<double>(v.numel()); }
bool is(const char* kernel, std::string_view name) { return kernel == name; }

}  // namespace

Extent extent_of(const View& v) {
  int64_t low = 0, high = 1;
  for (int d = 0; d < v.ndim; ++d) {
    if (v.shape[d] == 0) return {static_cast<const char*>(v.data), static_cast<const char*>(v.data)};
    (v.strides[d] < 0 ? low : high) += (v.shape[d] - 1) * v.strides[d];
  }
  const char* data = static_cast<const char*>(v.data);
  return {data + low * size_of(v.dtype), data + high * size_of(v.dtype)};
}

double Operands::bytes() const {
  double total = 0;
  for (const Operand& o : list_) {
    double n = static_cast<double>(size_of(o.view.dtype));
    for (int d = 0; d < o.view.ndim; ++d)
      if (o.view.strides[d] != 0) n *= static_cast<double>(o.view.shape[d]);  // a broadcast number is read once
    total += n * (int{o.read} + int{o.written});
  }
  return total;
}

// --- elementwise ---
void describe(const char*, const UnaryArgs& a, Operands& o) {
  o.read(a.x);
  o.write(a.out);
  o.flops = product(a.out);
}
void describe(const char*, const PredicateArgs& a, Operands& o) {
  o.read(a.x);
  o.write(a.out);
  o.flops = product(a.out);
}
void describe(const char*, const BinaryArgs& a, Operands& o) {
  o.read(a.a);
  o.read(a.b);
  o.write(a.out);
  o.flops = product(a.out);
}
void describe(const char*, const CompareArgs& a, Operands& o) {
  o.read(a.a);
  o.read(a.b);
  o.write(a.out);
  o.flops = product(a.out);
}
void describe(const char*, const TernaryArgs& a, Operands& o) {
  o.read(a.a);
  o.read(a.b);
  o.read(a.c);
  o.write(a.out);
  o.flops = product(a.out);
}
void describe(const char*, const CopyArgs& a, Operands& o) {
  o.read(a.x);
  o.write(a.out);
}
void describe(const char*, const FillArgs& a, Operands& o) { o.write(a.out); }
void describe(const char*, const ArangeArgs& a, Operands& o) { o.write(a.out); }

// --- softmax and normalization ---
void describe(const char*, const SoftmaxArgs& a, Operands& o) {
  const int64_t n = a.outer * a.n * a.inner;
  o.read(a.input, n, a.dtype);
  o.write(a.output, n, a.dtype);
  o.flops = 5.0 * static_cast<double>(n);
}
void describe(const char*, const SoftmaxBackwardArgs& a, Operands& o) {
  const int64_t n = a.outer * a.n * a.inner;
  o.read(a.grad, n, a.dtype);
  o.read(a.output, n, a.dtype);
  o.write(a.grad_input, n, a.dtype);
  o.flops = 4.0 * static_cast<double>(n);
}
void describe(const char*, const LayerNormArgs& a, Operands& o) {
  o.read(a.input, a.rows * a.n, a.dtype);
  o.read(a.weight, a.n, wide(a.dtype));
  o.read(a.bias, a.n, wide(a.dtype));
  o.write(a.output, a.rows * a.n, a.dtype);
  o.write(a.mean, a.rows, wide(a.dtype));
  o.write(a.rstd, a.rows, wide(a.dtype));
  o.flops = 7.0 * static_cast<double>(a.rows * a.n);
}
void describe(const char*, const LayerNormBackwardArgs& a, Operands& o) {
  o.read(a.grad, a.rows * a.n, a.dtype);
  o.read(a.input, a.rows * a.n, a.dtype);
  o.read(a.weight, a.n, wide(a.dtype));
  o.read(a.mean, a.rows, wide(a.dtype));
  o.read(a.rstd, a.rows, wide(a.dtype));
  o.write(a.grad_input, a.rows * a.n, a.dtype);
  o.write(a.weight_parts, a.parts * a.n, wide(a.dtype));
  o.write(a.bias_parts, a.parts * a.n, wide(a.dtype));
  o.flops = 12.0 * static_cast<double>(a.rows * a.n);
}
void describe(const char*, const GroupNormArgs& a, Operands& o) {
  const int64_t n = a.batch * a.channels * a.spatial;
  o.read(a.input, n, a.dtype);
  o.read(a.weight, a.channels, wide(a.dtype));
  o.read(a.bias, a.channels, wide(a.dtype));
  o.write(a.output, n, a.dtype);
  o.write(a.mean, a.batch * a.groups, wide(a.dtype));
  o.write(a.rstd, a.batch * a.groups, wide(a.dtype));
  o.flops = 7.0 * static_cast<double>(n);
}
void describe(const char*, const GroupNormBackwardArgs& a, Operands& o) {
  const int64_t n = a.batch * a.channels * a.spatial;
  o.read(a.grad, n, a.dtype);
  o.read(a.input, n, a.dtype);
  o.read(a.weight, a.channels, wide(a.dtype));
  o.read(a.mean, a.batch * a.groups, wide(a.dtype));
  o.read(a.rstd, a.batch * a.groups, wide(a.dtype));
  o.write(a.grad_input, n, a.dtype);
  o.update(a.weight_parts, a.batch * a.channels, wide(a.dtype));
  o.update(a.bias_parts, a.batch * a.channels, wide(a.dtype));
  o.flops = 12.0 * static_cast<double>(n);
}
void describe(const char*, const BatchNormArgs& a, Operands& o) {
  const int64_t n = a.shape.count() * a.shape.channels, c = a.shape.channels;
  o.read(a.x, n, a.dtype);
  o.read(a.weight);
  o.read(a.bias);
  for (const View* v : {&a.running_mean, &a.running_var}) a.training ? o.update(*v) : o.read(*v);
  o.write(a.y, n, a.dtype);
  o.write(a.mean, c, DType::f64);
  o.write(a.rstd, c, DType::f64);
  o.update(a.partial, 2 * c * BatchNormParts::count(a.shape), DType::f64);
  o.flops = 6.0 * static_cast<double>(n);
}
void describe(const char*, const BatchNormBackwardArgs& a, Operands& o) {
  const int64_t n = a.shape.count() * a.shape.channels, c = a.shape.channels;
  o.read(a.x, n, a.dtype);
  o.read(a.grad_y, n, a.dtype);
  o.read(a.weight);
  o.read(a.mean, c, DType::f64);
  o.read(a.rstd, c, DType::f64);
  o.write(a.grad_x, n, a.dtype);
  o.write(a.grad_weight);
  o.write(a.grad_bias);
  o.update(a.partial, 2 * c * BatchNormParts::count(a.shape), DType::f64);
  o.flops = 10.0 * static_cast<double>(n);
}

// --- attention ---
namespace {
int64_t heads(const View& v) {
  return v.numel() / (v.shape[v.ndim - 2] * v.shape[v.ndim - 1] > 0 ? v.shape[v.ndim - 2] * v.shape[v.ndim - 1] : 1);
}
// Multiplications and additions of one product of queries and keys, half of them where later keys are hidden.
double attention_product(const AttentionArgs& a) {
  const int t = a.query.ndim - 2;
  const double all = 2.0 * product(a.query) * static_cast<double>(a.key.shape[t]);
  return a.causal ? all / 2 : all;
}
}  // namespace
void describe(const char*, const AttentionArgs& a, Operands& o) {
  o.read(a.query);
  o.read(a.key);
  o.read(a.value);
  o.read(a.mask);
  o.write(a.out);
  o.write(a.log_sum_exp, heads(a.query) * a.query.shape[a.query.ndim - 2], wide(a.query.dtype));
  o.flops = 2 * attention_product(a);
}
void describe(const char*, const AttentionBackwardArgs& a, Operands& o) {
  const AttentionArgs& f = a.forward;
  const DType type = wide(f.query.dtype);
  for (const View* v : {&f.query, &f.key, &f.value, &f.mask, &f.out, &a.grad_out}) o.read(*v);
  o.read(f.log_sum_exp, heads(f.query) * f.query.shape[f.query.ndim - 2], type);
  o.write(a.grad_query_parts, a.key_chunks * f.query.numel(), type);
  o.write(a.grad_key, f.key.numel(), type);
  o.write(a.grad_value, f.value.numel(), type);
  o.flops = 5 * attention_product(f);
}
void describe(const char*, const AttentionDropoutMaskArgs& a, Operands& o) { o.write(a.output, a.rows * a.keys, a.dtype); }

// --- losses ---
namespace {
void read_logits(const CrossEntropyArgs& a, Operands& o) {
  const int64_t n = a.outer * a.classes * a.inner, positions = a.outer * a.inner;
  o.read(a.input, n, a.dtype);
  o.read(a.labels, positions, DType::i64);
  o.read(a.probabilities, n, a.dtype);
  o.read(a.weight, a.classes, wide(a.dtype));
}
}  // namespace
void describe(const char*, const CrossEntropyArgs& a, Operands& o) {
  const int64_t positions = a.outer * a.inner;
  read_logits(a, o);
  o.write(a.output, a.reduction == Reduction::none ? positions : 1, a.dtype);
  for (void* p : {a.maximum, a.log_sum, a.losses}) o.write(p, positions, wide(a.dtype));
  o.write(a.divisor, 1, DType::f64);
  o.flops = 5.0 * static_cast<double>(positions * a.classes);
}
void describe(const char*, const CrossEntropyBackwardArgs& a, Operands& o) {
  const CrossEntropyArgs& f = a.forward;
  const int64_t positions = f.outer * f.inner;
  read_logits(f, o);
  for (void* p : {f.maximum, f.log_sum}) o.read(p, positions, wide(f.dtype));
  o.read(f.divisor, 1, DType::f64);
  o.read(a.grad, f.reduction == Reduction::none ? positions : 1, f.dtype);
  o.write(a.grad_input, positions * f.classes, f.dtype);
  o.flops = 4.0 * static_cast<double>(positions * f.classes);
}
void describe(const char*, const FindBadLabelArgs& a, Operands& o) {
  o.read(a.labels, a.n, DType::i64);
  o.write(a.position, 1, DType::i64);
}
void describe(const char*, const PointwiseLossArgs& a, Operands& o) {
  for (const void* p : {a.input, a.target, a.weight, a.positive_weight}) o.read(p, a.n, a.dtype);
  o.write(a.output, a.reduce ? 1 : a.n, a.dtype);
  o.update(a.parts, (a.n + kLossPart - 1) / kLossPart, DType::f64);
  o.flops = 3.0 * static_cast<double>(a.n);
}
void describe(const char*, const PointwiseLossBackwardArgs& a, Operands& o) {
  const PointwiseLossArgs& f = a.forward;
  for (const void* p : {f.input, f.target, f.weight, f.positive_weight}) o.read(p, f.n, f.dtype);
  o.read(a.grad, f.reduce ? 1 : f.n, f.dtype);
  o.write(a.grad_input, f.n, f.dtype);
  o.flops = 3.0 * static_cast<double>(f.n);
}

// --- reductions, scans, sorting ---
void describe(const char*, const ReduceArgs& a, Operands& o) {
  View out = a.out;  // each element once
  for (int d = 0; d < out.ndim; ++d)
    if (a.reduced >> d & 1) out.shape[d] = 1;
  o.read(a.in);
  o.write(out);
  o.flops = product(a.in);
}
void describe(const char*, const ArgReduceArgs& a, Operands& o) {
  o.read(a.in);
  o.write(a.values);
  o.write(a.indices);
  o.flops = product(a.in);
}
void describe(const char*, const ScanArgs& a, Operands& o) {
  o.read(a.in);
  o.write(a.out);
  if (a.op == ScanOp::max || a.op == ScanOp::min) o.write(a.indices);
  o.flops = product(a.in);
}
void describe(const char*, const SortArgs& a, Operands& o) {
  o.read(a.in);
  o.write(a.values);
  o.write(a.indices);
  o.update(a.workspace, 32 * a.in.numel(), DType::u8);
}

// --- random ---
void describe(const char*, const RandomArgs& a, Operands& o) { o.write(a.out); }
void describe(const char*, const DropoutArgs& a, Operands& o) {
  o.read(a.in);
  o.write(a.out);
  o.flops = product(a.in);
}

// --- indexing ---
void describe(const char*, const IndexOffsetsArgs& a, Operands& o) {
  for (int32_t k = 0; k < a.count; ++k) o.read(a.index[k]);
  o.write(a.offsets, a.count > 0 ? a.index[0].numel() : 0, DType::i64);
  o.update(a.bad, 3, DType::i64);
}
namespace {
// Somewhere in the indexed tensor: the offsets say where, up to its last element.
View places_of(const View& rest, const View& values, int32_t place_dims) {
  View v = values;
  v.data = rest.data;
  v.dtype = rest.dtype;
  for (int d = 0; d < place_dims; ++d) v.strides[d] = 0;
  for (int d = place_dims; d < v.ndim; ++d) v.strides[d] = rest.strides[d - place_dims];
  return v;
}
int64_t count_places(const View& values, int32_t place_dims) {
  int64_t n = 1;
  for (int d = 0; d < place_dims; ++d) n *= values.shape[d];
  return n;
}
}  // namespace
void describe(const char*, const IndexGatherArgs& a, Operands& o) {
  o.read(places_of(a.from, a.out, a.place_dims));
  o.read(a.offsets, count_places(a.out, a.place_dims), DType::i64);
  o.write(a.out);
}
void describe(const char*, const IndexScatterArgs& a, Operands& o) {
  o.read(a.values);
  for (const int64_t* p : {a.offsets, a.order}) o.read(p, count_places(a.values, a.place_dims), DType::i64);
  o.update(places_of(a.to, a.values, a.place_dims));
}
void describe(const char*, const GatherArgs& a, Operands& o) {
  o.read(a.in);
  o.read(a.index);
  o.write(a.out);
}
void describe(const char*, const ScatterArgs& a, Operands& o) {
  o.read(a.index);
  o.read(a.values);
  o.update(a.to);
}
void describe(const char*, const TriangleArgs& a, Operands& o) {
  const int64_t bytes = a.matrices * a.rows * a.columns * a.element_size;
  o.read(a.in, bytes, DType::u8);
  o.write(a.out, bytes, DType::u8);
}

// --- optimizers ---
void describe(const char*, const OptimizerStepArgs& a, Operands& o) {
  constexpr double kFlops = 15;  // an element, of Adam; other rules have a few less or more
  for (int64_t i = 0; i < a.count; ++i) {
    const ParameterSlot& s = a.slots[i];
    o.update(s.param, s.numel, a.dtype);
    o.read(s.grad, s.numel, a.dtype);
    for (void* state : s.state) o.update(state, s.numel, a.dtype);
    for (float* cell : s.cells) o.update(cell, 1, DType::f32);
    o.flops += kFlops * static_cast<double>(s.numel);
  }
  o.read(a.lr_cell, 1, DType::f32);
}
void describe(const char*, const GradNormArgs& a, Operands& o) {
  int64_t n = 0;
  for (int64_t i = 0; i < a.count; ++i) {
    o.read(a.slots[i].grad, a.slots[i].numel, a.dtype);
    n += a.slots[i].numel;
  }
  o.write(a.partial, (n + kNormChunk - 1) / kNormChunk, DType::f64);
  o.flops = 2.0 * static_cast<double>(n);
}
void describe(const char*, const ScaleGradsArgs& a, Operands& o) {
  for (int64_t i = 0; i < a.count; ++i) {
    o.update(a.slots[i].grad, a.slots[i].numel, a.dtype);
    o.flops += static_cast<double>(a.slots[i].numel);
  }
}

// --- convolution and pooling ---
namespace {
// Two for each element of the output and of the weights of one of its channels.
double conv_flops(const View& output, const View& weight) {
  return 2.0 * product(output) * product(weight) / static_cast<double>(weight.shape[0] > 0 ? weight.shape[0] : 1);
}
}  // namespace
void describe(const char* kernel, const ConvArgs& a, Operands& o) {
  const bool forward = is(kernel, "conv2d_forward");
  o.read(forward ? a.input : a.output);
  o.read(a.weight);
  o.read(a.bias);
  o.write(forward ? a.output : a.input);
  if (a.panels) {
    const int64_t groups = a.geometry.groups, per_group = a.weight.shape[0] / groups, depth = a.weight.shape[1];
    const int64_t to = forward ? per_group : depth, from = forward ? depth : per_group;
    o.update(a.panels,
             groups * conv_panel_channels(to) * from * conv_panel_points(a.weight.shape[2], a.weight.shape[3], a.winograd),
             wide(a.weight.dtype));
  }
  o.flops = conv_flops(a.output, a.weight);
}
void describe(const char*, const ConvWeightArgs& a, Operands& o) {
  const View& w = a.grad_weight;
  o.read(a.input);
  o.read(a.grad_output);
  o.write(w);
  o.update(
      a.partial_sums,
      a.parts * a.geometry.groups * conv_panel_channels(w.shape[0] / a.geometry.groups) * w.shape[1] * w.shape[2] * w.shape[3],
      wide(w.dtype));
  o.flops = conv_flops(a.grad_output, w);
}
void describe(const char* kernel, const MaxPoolArgs& a, Operands& o) {
  const bool forward = is(kernel, "max_pool_forward");
  o.read(forward ? a.input : a.output);
  forward ? o.write(a.indices) : o.read(a.indices);
  o.write(forward ? a.output : a.input);
  o.flops = product(a.output) * static_cast<double>(a.windows.kernel[0] * a.windows.kernel[1]);
}
void describe(const char* kernel, const AvgPoolArgs& a, Operands& o) {
  const bool forward = is(kernel, "avg_pool_forward");
  o.read(forward ? a.input : a.output);
  o.write(forward ? a.output : a.input);
  o.flops = product(a.input);
}

// --- matrix products and recurrent layers ---
void describe(const char*, const MatmulArgs& a, Operands& o) {
  o.read(a.a);
  o.read(a.b);
  o.read(a.addend);
  o.write(a.c);
  o.flops = 2.0 * product(a.c) * static_cast<double>(a.a.shape[a.a.ndim - 1]);
}
void describe(const char*, const Int8LinearArgs& a, Operands& o) {
  o.read(a.x, a.rows * a.k, DType::f32);
  o.read(a.weight, int8_panels(a.columns) * kInt8Columns * int8_quads(a.k) * kInt8Quad, DType::i8);
  o.read(a.weight_scale, a.columns, DType::f32);
  o.read(a.weight_sum, a.columns, DType::i32);
  o.read(a.bias, a.columns, DType::f32);
  o.write(a.y, a.rows * a.columns, DType::f32);
  o.update(a.quantized, int8_workspace(a.rows, a.k), DType::u8);
  o.update(a.scale, a.rows, DType::f32);
  o.update(a.zero, a.rows, DType::i32);
  o.flops = 2.0 * static_cast<double>(a.rows * a.columns * a.k);
}
namespace {
// Gates, hidden states and cells of one layer, over all steps.
struct RnnCounts {
  int64_t state, gates, weight, output, workspace;
  explicit RnnCounts(const RnnSizes& s)
      : state(s.batch * s.hidden),
        gates(s.steps * s.batch * rnn_gates(s.cell) * s.hidden),
        weight(rnn_gates(s.cell) * s.hidden * s.hidden),
        output(s.steps * state),
        workspace(rnn_workspace(s.cell, s.hidden)) {}
};
}  // namespace
void describe(const char*, const RnnArgs& a, Operands& o) {
  const RnnCounts n(a.sizes);
  const DType t = a.sizes.dtype;
  o.read(a.weight, n.weight, t);
  o.read(a.bias, rnn_gates(a.sizes.cell) * a.sizes.hidden, t);
  o.read(a.h0, n.state, t);
  o.read(a.c0, n.state, t);
  o.update(a.gates, n.gates, t);
  o.write(a.output, n.output, t);
  o.write(a.cells, n.output, t);
  o.update(a.recurrent, rnn_gates(a.sizes.cell) * n.state, t);
  o.update(a.workspace, n.workspace, t);
  o.flops = 2.0 * static_cast<double>(n.weight) * static_cast<double>(a.sizes.steps * a.sizes.batch);
}
void describe(const char*, const RnnBackwardArgs& a, Operands& o) {
  const RnnCounts n(a.sizes);
  const DType t = a.sizes.dtype;
  o.read(a.weight, n.weight, t);
  o.read(a.h0, n.state, t);
  o.read(a.c0, n.state, t);
  o.read(a.gates, n.gates, t);
  for (const void* p : {a.output, a.cells, a.grad_output, a.grad_cells}) o.read(p, n.output, t);
  o.write(a.grad_gates, n.gates, t);
  o.write(a.grad_recurrent, n.gates, t);
  o.write(a.grad_h0, n.state, t);
  o.write(a.grad_c0, n.state, t);
  o.update(a.workspace, n.workspace, t);
  o.flops = 2.0 * static_cast<double>(n.weight) * static_cast<double>(a.sizes.steps * a.sizes.batch);
}

}  // namespace fastdl
