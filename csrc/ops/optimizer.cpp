// Optimizer steps and gradient clipping over lists of tensors. They write parameters and state in place and are not
// recorded.
#include <cmath>

#include "ops/launch.h"
#include "ops/ops.h"

namespace fastdl::ops {
namespace {

// Memory without gaps or overlaps, in any order of the dimensions.
bool is_dense(const Tensor& t) {
  if (t.is_contiguous()) return true;
  int64_t covered = 1;  // by the dimensions found so far, from the innermost outwards
  bool found[kMaxDims] = {};
  for (int n = 0; n < t.ndim(); ++n) {
    int next = -1;
    for (int d = 0; d < t.ndim() && next < 0; ++d)
      if (!found[d] && (t.shape()[d] == 1 || t.strides()[d] == covered)) next = d;
    if (next < 0) return false;
    found[next] = true;
    covered *= t.shape()[next];
  }
  return true;
}

// The tensors that go with one parameter must be walked in one order. Where layouts differ, or have gaps, contiguous
// copies stand in, and what the step writes is copied back at the end.
class SameOrder {
 public:
  explicit SameOrder(const Tensor& param) : param_(param), direct_(is_dense(param)) {}
  void* written(const Tensor& t) {
    if (matches(t)) return t.data();
    const Tensor copy = dense_copy(t);
    back_.emplace_back(t, copy);
    return copy.data();
  }
  const void* read(const Tensor& t) {
    if (matches(t)) return t.data();
    copies_.push_back(dense_copy(t));
    return copies_.back().data();
  }
  void copy_back() {
    for (const auto& [to, from] : back_) copy_(to, from);
  }

 private:
  bool matches(const Tensor& t) const {
    if (!direct_) return t.is_contiguous();
    return t.strides() == param_.strides() || (t.is_contiguous() && param_.is_contiguous());
  }
  Tensor dense_copy(const Tensor& t) const {
    const Tensor copy = direct_ ? make_empty_strided(t.shape(), param_.strides(), t.dtype(), t.device())
                                : make_empty(t.shape(), t.dtype(), t.device());
    return copy_(copy, t);
  }

  Tensor param_;
  bool direct_;
  std::vector<std::pair<Tensor, Tensor>> back_;
  TensorList copies_;
};

struct RuleInfo {
  const char* name;
  OptimizerRule rule;
  size_t states, cells, options;
};

const RuleInfo& find_rule(const std::string& name) {
  static constexpr RuleInfo rules[] = {
#define FASTDL_OPTIMIZER_RULE(name, states, cells, options) {#name, OptimizerRule::name, states, cells, options},
#include "kernels/optimizer_rules.def"
#undef FASTDL_OPTIMIZER_RULE
  };
  for (const RuleInfo& r : rules)
    if (name == r.name) return r;
  throw ValueError(str("optimizer_step: unknown rule '", name, "'"));
}

void check_count(const char* name, size_t got, size_t expected, const RuleInfo& rule) {
  if (got != expected)
    throw ValueError(str("optimizer_step: ", got, " ", name, " for the rule '", rule.name, "', expected ", expected));
}

// One tensor for each parameter; only a gradient may be missing.
void check_list(const std::string& name, const TensorList& list, const TensorList& params) {
  if (list.size() != params.size())
    throw ValueError(str("optimizer_step: ", list.size(), " ", name, " for ", params.size(), " params"));
  for (size_t i = 0; i < list.size(); ++i) {
    if (!list[i].defined()) {
      if (name == "grads") continue;
      throw ValueError(str("optimizer_step: ", name, "[", i, "] is None"));
    }
    if (list[i].device() != params[0].device())
      throw DeviceError(str("optimizer_step: ", name, "[", i, "] is not on the device of the first parameter"));
  }
}

void check_like_params(const std::string& name, const TensorList& list, const TensorList& params) {
  check_list(name, list, params);
  for (size_t i = 0; i < list.size(); ++i) {
    if (!list[i].defined()) continue;
    if (list[i].shape() != params[i].shape())
      throw ShapeError(str("optimizer_step: ", name, "[", i, "] has shape ", list[i].shape(), ", its parameter ",
                           params[i].shape()));
    if (list[i].dtype() != params[i].dtype())
      throw DTypeError(
          str("optimizer_step: ", name, "[", i, "] is ", list[i].dtype(), ", its parameter ", params[i].dtype()));
  }
}

void check_cells(const std::string& name, const TensorList& list, const TensorList& params) {
  check_list(name, list, params);
  for (const Tensor& t : list)
    if (t.dtype() != DType::f32 || t.numel() != 1)
      throw ValueError(str("optimizer_step: ", name, " must be float32 tensors of one element"));
}

}  // namespace

namespace {

// Where the kernels of a device other than the CPU keep a list of slots.
Tensor slot_workspace(size_t count, Device device) {
  return device.is_cpu() ? Tensor() : make_empty({slots_bytes(static_cast<int64_t>(count))}, DType::u8, device);
}

void* data_or_null(const Tensor& t) { return t.defined() ? t.data() : nullptr; }

}  // namespace

void optimizer_step(const std::string& rule, const TensorList& params, const TensorList& grads,
                    const std::vector<TensorList>& states, const std::vector<TensorList>& cells, const Tensor& lr,
                    const std::vector<double>& options, double weight_decay, bool decoupled, bool maximize) {
  const RuleInfo& info = find_rule(rule);
  check_count("lists of states", states.size(), info.states, info);
  check_count("lists of cells", cells.size(), info.cells, info);
  check_count("options", options.size(), info.options, info);
  for (const Tensor& p : params) check_floating("optimizer_step", p);
  check_like_params("params", params, params);
  check_like_params("grads", grads, params);
  for (size_t s = 0; s < states.size(); ++s) check_like_params(str("states[", s, "]"), states[s], params);
  for (size_t c = 0; c < cells.size(); ++c) check_cells(str("cells[", c, "]"), cells[c], params);
  if (lr.numel() != 1) throw ShapeError(str("optimizer_step: lr has shape ", lr.shape(), ", expected one element"));
  if (params.empty()) return;
  const GradMode no_grad(false);
  const Device device = params[0].device();
  OptimizerStepArgs args{};
  args.rule = info.rule;
  if (lr.dtype() == DType::f32 && lr.device() == device)
    args.lr_cell = lr.data<float>();
  else
    args.lr = item(lr);
  for (size_t i = 0; i < options.size(); ++i) args.options[i] = options[i];
  args.weight_decay = weight_decay;
  args.decoupled = decoupled;
  args.maximize = maximize;
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
    std::vector<ParameterSlot> slots;
    std::vector<SameOrder> orders;
    int64_t offset = 0;
    for (size_t i = 0; i < params.size(); ++i) {
      if (params[i].dtype() != dtype || !grads[i].defined()) continue;
      SameOrder& order = orders.emplace_back(params[i]);
      ParameterSlot slot{};
      slot.param = order.written(params[i]);
      slot.grad = order.read(grads[i]);
      for (size_t s = 0; s < states.size(); ++s) slot.state[s] = order.written(states[s][i]);
      for (size_t c = 0; c < cells.size(); ++c) slot.cells[c] = cells[c][i].data<float>();
      slot.numel = params[i].numel();
      slot.offset = offset;
      offset += slot.numel;
      slots.push_back(slot);
    }
    if (slots.empty()) continue;
    const Tensor workspace = slot_workspace(slots.size(), device);
    args.slots = slots.data();
    args.count = static_cast<int64_t>(slots.size());
    args.workspace = data_or_null(workspace);
    args.dtype = dtype;
    launch(&KernelTable::optimizer_step, device, args);
    for (SameOrder& order : orders) order.copy_back();
  }
  for (size_t i = 0; i < params.size(); ++i) {
    if (!grads[i].defined()) continue;
    changed(params[i]);
    for (const TensorList& list : states) changed(list[i]);
    for (const TensorList& list : cells) changed(list[i]);
  }
}

namespace {

// f(dtype, slots, total elements) for each dtype; gradients with gaps are copied (and copied back when written).
template <class F>
void for_each_grad_dtype(const TensorList& grads, bool written, const F& f) {
  const GradMode no_grad(false);
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
    std::vector<GradientSlot> slots;
    std::vector<std::pair<Tensor, Tensor>> copies;
    int64_t offset = 0;
    for (const Tensor& g : grads) {
      if (g.dtype() != dtype || g.numel() == 0) continue;
      Tensor dense = g;
      if (!is_dense(g)) copies.emplace_back(g, dense = contiguous(g));
      slots.push_back({dense.data(), g.numel(), offset});
      offset += g.numel();
    }
    if (slots.empty()) continue;
    f(dtype, slots, offset);
    if (!written) continue;
    for (const auto& [to, from] : copies) copy_(to, from);
  }
}

double total_norm(const TensorList& grads, NormKind kind) {
  double total = 0;
  const auto combine = [&](double x) {
    if (kind != NormKind::max_abs)
      total += x;
    else if (x > total || x != x)
      total = x;
  };
  for_each_grad_dtype(grads, false, [&](DType dtype, const std::vector<GradientSlot>& slots, int64_t elements) {
    const Device device = grads[0].device();
    const Tensor part = make_empty({(elements + kNormChunk - 1) / kNormChunk}, DType::f64, device);
    const Tensor workspace = slot_workspace(slots.size(), device);
    launch(&KernelTable::grad_norm, device,
           GradNormArgs{slots.data(), static_cast<int64_t>(slots.size()), data_or_null(workspace), dtype, kind,
                        part.data<double>()});
    const Tensor host = to_device(part, Device{});
    for (int64_t i = 0; i < host.numel(); ++i) combine(host.data<double>()[i]);
  });
  return kind == NormKind::sum_squares ? std::sqrt(total) : total;
}

}  // namespace

Tensor clip_grad_norm_(const TensorList& grads, double max_norm, double norm_type, bool error_if_nonfinite) {
  if (max_norm < 0 || std::isnan(max_norm))
    throw ValueError(str("clip_grad_norm_: max_norm ", max_norm, ", expected at least 0"));
  if (norm_type != 1 && norm_type != 2 && norm_type != INFINITY)
    throw ValueError(str("clip_grad_norm_: norm_type ", norm_type, ", expected 1, 2 or inf"));
  DType dtype = grads.empty() ? default_dtype() : grads[0].dtype();
  for (const Tensor& g : grads) {
    check_floating("clip_grad_norm_", g);
    if (g.device() != grads[0].device()) throw DeviceError("clip_grad_norm_: gradients on different devices");
    dtype = promote(dtype, g.dtype());
  }
  const NormKind kind = norm_type == 1 ? NormKind::sum_abs : norm_type == 2 ? NormKind::sum_squares : NormKind::max_abs;
  const double norm = total_norm(grads, kind);
  if (error_if_nonfinite && !std::isfinite(norm))
    throw ValueError(str("clip_grad_norm_: the norm of ", grads.size(), " gradients is ", norm));
  const double factor = max_norm / (norm + 1e-6);
  if (!(factor >= 1)) {  // also when it is NaN, which must show in the gradients
    for_each_grad_dtype(grads, true, [&](DType type, const std::vector<GradientSlot>& slots, int64_t) {
      const Tensor workspace = slot_workspace(slots.size(), grads[0].device());
      launch(&KernelTable::scale_grads, grads[0].device(),
             ScaleGradsArgs{slots.data(), static_cast<int64_t>(slots.size()), data_or_null(workspace), type, factor});
    });
    for (const Tensor& g : grads) changed(g);
  }
  return full({}, norm, dtype, grads.empty() ? Device{} : grads[0].device());
}

}  // namespace fastdl::ops
