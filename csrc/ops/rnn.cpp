// Recurrent layers: the input is projected for all steps in one product, then one kernel runs over time.
#include "kernels/rnn.h"

#include "ops/launch.h"
#include "ops/ops.h"

namespace fastdl::ops {

namespace {

struct Inputs {  // absent ones are undefined
  Tensor x, h0, c0, w_ih, w_hh, b_ih, b_hh;
  TensorList list() const { return {x, h0, c0, w_ih, w_hh, b_ih, b_hh}; }
};
Inputs from_list(const TensorList& t) { return {t[0], t[1], t[2], t[3], t[4], t[5], t[6]}; }

Tensor or_undefined(const std::optional<Tensor>& t) { return t ? *t : Tensor(); }
std::optional<Tensor> or_none(const Tensor& t) { return t.defined() ? std::optional<Tensor>(t) : std::nullopt; }

void check_shape(const char* op, const char* name, const Tensor& t, const Tensor& x, const Shape& expected) {
  if (!t.defined()) return;
  check_same_device(op, {x, t});
  if (t.dtype() != x.dtype())
    throw DTypeError(str(op, ": ", name, " is ", name_of(t.dtype()), ", the input is ", name_of(x.dtype())));
  if (t.shape() != expected)
    throw ShapeError(str(op, ": needs ", name, " of shape ", expected, " for input ", x.shape(), ", got ", t.shape()));
}

void check(const char* op, RnnCell cell, const Inputs& in) {
  check_floating(op, in.x);
  if (in.x.ndim() != 3 || in.x.size(0) == 0)
    throw ShapeError(str(op, ": needs input (steps, batch, features) with at least one step, got ", in.x.shape()));
  if (in.w_hh.ndim() != 2) throw ShapeError(str(op, ": needs weight_hh of two dimensions, got ", in.w_hh.shape()));
  const int64_t batch = in.x.size(1), hidden = in.w_hh.size(1), gates = rnn_gates(cell) * hidden;
  check_shape(op, "weight_hh", in.w_hh, in.x, {gates, hidden});
  check_shape(op, "weight_ih", in.w_ih, in.x, {gates, in.x.size(2)});
  check_shape(op, "bias_ih", in.b_ih, in.x, {gates});
  check_shape(op, "bias_hh", in.b_hh, in.x, {gates});
  check_shape(op, "h0", in.h0, in.x, {batch, hidden});
  check_shape(op, "c0", in.c0, in.x, {batch, hidden});
}

RnnSizes sizes_of(RnnCell cell, const Inputs& in, bool reverse) {
  return {cell, in.x.dtype(), in.x.size(0), in.x.size(1), in.w_hh.size(1), reverse};
}

// The biases that do not depend on the step: both, but for gru, whose b_hh is inside a gate.
std::optional<Tensor> projection_bias(RnnCell cell, const Inputs& in) {
  if (cell == RnnCell::gru || !in.b_hh.defined()) return or_none(in.b_ih);
  return in.b_ih.defined() ? add(in.b_ih, in.b_hh) : in.b_hh;
}

// The same layer step by step from plain ops: outputs and, for lstm, cells of each step. Its gradients can be
// differentiated again.
std::pair<TensorList, TensorList> unrolled(RnnCell cell, const Inputs& in, bool reverse) {
  const int64_t steps = in.x.size(0);
  const Tensor projection = linear(in.x, in.w_ih, projection_bias(cell, in));
  TensorList outputs(steps), cells(cell == RnnCell::lstm ? steps : 0);
  Tensor h = in.h0, c = in.c0;
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t step = reverse ? steps - 1 - i : i;
    const Tensor p = select(projection, 0, step);
    const Tensor u = linear(h, in.w_hh, cell == RnnCell::gru ? or_none(in.b_hh) : std::nullopt);
    if (cell == RnnCell::lstm) {
      const TensorList a = chunk(add(p, u), 4, 1);
      c = add(mul(sigmoid(a[1]), c), mul(sigmoid(a[0]), tanh(a[2])));
      h = mul(sigmoid(a[3]), tanh(c));
      cells[step] = c;
    } else if (cell == RnnCell::gru) {
      const TensorList a = chunk(p, 3, 1), b = chunk(u, 3, 1);
      const Tensor z = sigmoid(add(a[1], b[1])), n = tanh(add(a[2], mul(sigmoid(add(a[0], b[0])), b[2])));
      h = add(n, mul(z, sub(h, n)));
    } else {
      h = cell == RnnCell::tanh ? tanh(add(p, u)) : relu(add(p, u));
    }
    outputs[step] = h;
  }
  return {outputs, cells};
}

void differentiable_backward(GradCall& call, RnnCell cell, const Inputs& in, bool reverse) {
  // Views of the inputs, so that the walk ends at them even where one input is computed from another.
  TensorList inputs = in.list(), wanted;
  for (Tensor& t : inputs)
    if (t.defined()) t = view(t, t.shape());
  auto [outputs, cells] = unrolled(cell, from_list(inputs), reverse);
  TensorList grads;
  for (size_t step = 0; step < outputs.size(); ++step) grads.push_back(select(call.grad(0), 0, static_cast<int64_t>(step)));
  if (cell == RnnCell::lstm && call.has_grad(1)) {
    outputs.insert(outputs.end(), cells.begin(), cells.end());
    for (size_t step = 0; step < cells.size(); ++step) grads.push_back(select(call.grad(1), 0, static_cast<int64_t>(step)));
  }
  for (size_t i = 0; i < inputs.size(); ++i)
    if (call.wants(i)) wanted.push_back(inputs[i]);
  const TensorList found = gradients(outputs, grads, wanted, {true, true});
  size_t next = 0;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (call.wants(i)) call.set(i, found[next++]);
}

// sum over steps of gates_t^T h_(t-1).
Tensor recurrent_weight_gradient(const Tensor& gates, const Tensor& output, const Tensor& h0, bool reverse) {
  const int64_t steps = output.size(0), rest = steps - 1;
  const auto rows = [](const Tensor& t) { return reshape(t, {t.size(0) * t.size(1), t.size(2)}); };
  const Tensor first = mm(t(select(gates, 0, reverse ? rest : 0)), h0);
  if (rest == 0) return first;
  return addmm(first, t(rows(narrow(gates, 0, reverse ? 0 : 1, rest))), rows(narrow(output, 0, reverse ? 1 : 0, rest)), 1, 1);
}

void fused_backward(GradCall& call, RnnCell cell, const Inputs& in, const Tensor& gates, const Tensor& output,
                    const Tensor& cells, bool reverse) {
  const RnnSizes sizes = sizes_of(cell, in, reverse);
  const Tensor grad = contiguous(call.grad(0)), weight = contiguous(in.w_hh), h0 = contiguous(in.h0);
  const Tensor grad_cells = cell == RnnCell::lstm && call.has_grad(1) ? contiguous(call.grad(1)) : Tensor();
  const Tensor c0 = in.c0.defined() ? contiguous(in.c0) : Tensor();
  const Tensor grad_gates = empty_like(gates), grad_h0 = empty_like(h0);
  const Tensor grad_recurrent = cell == RnnCell::gru ? empty_like(gates) : grad_gates;
  const Tensor grad_c0 = c0.defined() ? empty_like(c0) : Tensor();
  const Tensor workspace = empty({rnn_workspace(cell, sizes.hidden)}, sizes.dtype, in.x.device());
  const auto data = [](const Tensor& t) { return t.defined() ? t.data() : nullptr; };
  launch(&KernelTable::rnn_backward, in.x.device(),
         RnnBackwardArgs{sizes, weight.data(), h0.data(), data(c0), gates.data(), output.data(), data(cells), grad.data(),
                         data(grad_cells), grad_gates.data(), grad_recurrent.data(), grad_h0.data(), data(grad_c0),
                         workspace.data()});
  const int64_t rows = sizes.steps * sizes.batch;
  const Tensor projected = reshape(grad_gates, {rows, grad_gates.size(2)});
  if (call.wants(0)) call.set(0, matmul(grad_gates, in.w_ih));
  call.set(1, grad_h0);
  call.set(2, grad_c0);
  if (call.wants(3)) call.set(3, mm(t(projected), reshape(in.x, {rows, in.x.size(2)})));
  if (call.wants(4)) call.set(4, recurrent_weight_gradient(grad_recurrent, output, h0, reverse));
  if (call.wants(5)) call.set(5, sum(projected, Shape{0}, false));
  if (call.wants(6)) call.set(6, sum(reshape(grad_recurrent, {rows, grad_gates.size(2)}), Shape{0}, false));
}

struct Sequences {
  Tensor output, cells;
};

Sequences run(const char* op, RnnCell cell, const Inputs& in, bool reverse) {
  check(op, cell, in);
  if (is_half(in.x.dtype())) {  // computed in float32
    TensorList wide = in.list();
    for (Tensor& t : wide)
      if (t.defined()) t = to_dtype(t, DType::f32);
    const Sequences s = run(op, cell, from_list(wide), reverse);
    return {to_dtype(s.output, in.x.dtype()), s.cells.defined() ? to_dtype(s.cells, in.x.dtype()) : Tensor()};
  }
  const RnnSizes sizes = sizes_of(cell, in, reverse);
  const bool lstm = cell == RnnCell::lstm, gru = cell == RnnCell::gru;
  Tensor gates, output, cells;
  {
    GradMode no_grad(false);
    const auto allocate = [&](const Shape& shape) { return empty(shape, sizes.dtype, in.x.device()); };
    const auto plain = [](const Tensor& t) { return t.defined() ? contiguous(t) : Tensor(); };
    const auto data = [](const Tensor& t) { return t.defined() ? t.data() : nullptr; };
    gates = linear(in.x, in.w_ih, projection_bias(cell, in));
    output = allocate({sizes.steps, sizes.batch, sizes.hidden});
    if (lstm || gru) cells = allocate(output.shape());
    const Tensor recurrent = gru ? allocate({sizes.batch, gates.size(2)}) : Tensor();
    const Tensor workspace = allocate({rnn_workspace(cell, sizes.hidden)});
    const Tensor weight = plain(in.w_hh), bias = gru ? plain(in.b_hh) : Tensor(), h0 = plain(in.h0), c0 = plain(in.c0);
    launch(&KernelTable::rnn_forward, in.x.device(),
           RnnArgs{sizes, weight.data(), data(bias), h0.data(), data(c0), gates.data(), output.data(), data(cells),
                   data(recurrent), workspace.data()});
  }
  if (records(in.x, in.h0, in.c0, in.w_ih, in.w_hh, in.b_ih, in.b_hh)) {
    const TensorList outputs = lstm ? TensorList{output, cells} : TensorList{output};
    std::vector<SavedTensor> saved;
    for (const Tensor& t : in.list()) saved.push_back(save(t));
    record(op, outputs, in.list(),
           [saved, cell, reverse, gates, output = save_output(output),
            cells = lstm ? save_output(cells, 1) : save(cells)](GradCall& c) {
             TensorList tensors;
             for (const SavedTensor& s : saved) tensors.push_back(c(s));
             if (grad_enabled()) differentiable_backward(c, cell, from_list(tensors), reverse);
             else fused_backward(c, cell, from_list(tensors), gates, c(output), c(cells), reverse);
           });
  }
  return {output, cells};
}

// The state after the last step, in memory of its own.
Tensor last(const Tensor& sequence, bool reverse) { return clone(select(sequence, 0, reverse ? 0 : sequence.size(0) - 1)); }

}  // namespace

std::tuple<Tensor, Tensor, Tensor> lstm_layer(const Tensor& input, const Tensor& h0, const Tensor& c0, const Tensor& weight_ih,
                                              const Tensor& weight_hh, const std::optional<Tensor>& bias_ih,
                                              const std::optional<Tensor>& bias_hh, bool reverse) {
  const Sequences s =
      run("lstm", RnnCell::lstm, {input, h0, c0, weight_ih, weight_hh, or_undefined(bias_ih), or_undefined(bias_hh)}, reverse);
  return {s.output, last(s.output, reverse), last(s.cells, reverse)};
}

std::pair<Tensor, Tensor> gru_layer(const Tensor& input, const Tensor& h0, const Tensor& weight_ih, const Tensor& weight_hh,
                                    const std::optional<Tensor>& bias_ih, const std::optional<Tensor>& bias_hh, bool reverse) {
  const Sequences s = run("gru", RnnCell::gru,
                          {input, h0, Tensor(), weight_ih, weight_hh, or_undefined(bias_ih), or_undefined(bias_hh)}, reverse);
  return {s.output, last(s.output, reverse)};
}

std::pair<Tensor, Tensor> rnn_layer(const Tensor& input, const Tensor& h0, const Tensor& weight_ih, const Tensor& weight_hh,
                                    const std::optional<Tensor>& bias_ih, const std::optional<Tensor>& bias_hh,
                                    const std::string& nonlinearity, bool reverse) {
  if (nonlinearity != "tanh" && nonlinearity != "relu")
    throw ValueError(str("rnn: unknown nonlinearity '", nonlinearity, "', expected 'tanh' or 'relu'"));
  const Sequences s = run("rnn", nonlinearity == "tanh" ? RnnCell::tanh : RnnCell::relu,
                          {input, h0, Tensor(), weight_ih, weight_hh, or_undefined(bias_ih), or_undefined(bias_hh)}, reverse);
  return {s.output, last(s.output, reverse)};
}

}  // namespace fastdl::ops
