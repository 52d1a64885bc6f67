// Optimizer steps and gradient clipping over lists of tensors. They write parameters and state in place and are not
// recorded.
#include <cmath>

#include "ops/launch.h"
#include "ops/ops.h"

namespace fastdl::ops {
namespace {

// The tensors that go with one parameter must be walked in one order. Where layouts differ, or have gaps, contiguous
// copies stand in, and what the step writes is copied back at the end.
class SameOrder {
 public:
  explicit SameOrder(const Tensor& param) : param_(param), direct_(param.is_dense()) {}
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
      throw ShapeError(
          str("optimizer_step: ", name, "[", i, "] has shape ", list[i].shape(), ", its parameter ", params[i].shape()));
    if (list[i].dtype() != params[i].dtype())
      throw DTypeError(str("optimizer_step: ", name, "[", i, "] is ", list[i].dtype(), ", its parameter ", params[i].dtype()));
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
                    const std::vector<TensorList>& states, const std::vector<TensorList>& cells, const Number& lr,
                    const std::vector<Number>& options, const Number& weight_decay, bool decoupled, bool maximize,
                    const std::optional<Tensor>& lr_cell) {
  const RuleInfo& info = find_rule(rule);
  check_count("lists of states", states.size(), info.states, info);
  check_count("lists of cells", cells.size(), info.cells, info);
  check_count("options", options.size(), info.options, info);
  for (const Tensor& p : params) check_floating("optimizer_step", p);
  check_like_params("params", params, params);
  check_like_params("grads", grads, params);
  for (size_t s = 0; s < states.size(); ++s) check_like_params(str("states[", s, "]"), states[s], params);
  for (size_t c = 0; c < cells.size(); ++c) check_cells(str("cells[", c, "]"), cells[c], params);
  if (lr_cell && lr_cell->numel() != 1)
    throw ShapeError(str("optimizer_step: lr has shape ", lr_cell->shape(), ", expected one element"));
  if (params.empty()) return;
  const GradMode no_grad(false);
  const Device device = params[0].device();
  OptimizerStepArgs args{};
  args.rule = info.rule;
  if (lr_cell && lr_cell->dtype() == DType::f32 && lr_cell->device() == device) args.lr_cell = lr_cell->data<float>();
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
    launch(&KernelTable::optimizer_step, device, args, [=](OptimizerStepArgs& a) {
      if (!a.lr_cell) a.lr = lr.now();
      for (size_t i = 0; i < options.size(); ++i) a.options[i] = options[i].now();
      a.weight_decay = weight_decay.now();
    });
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
template <class F> void for_each_grad_dtype(const TensorList& grads, bool written, const F& f) {
  const GradMode no_grad(false);
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
    std::vector<GradientSlot> slots;
    std::vector<std::pair<Tensor, Tensor>> copies;
    int64_t offset = 0;
    for (const Tensor& g : grads) {
      if (g.dtype() != dtype || g.numel() == 0) continue;
      Tensor dense = g;
      if (!g.is_dense()) copies.emplace_back(g, dense = contiguous(g));
      slots.push_back({dense.data(), g.numel(), offset});
      offset += g.numel();
    }
    if (slots.empty()) continue;
    f(dtype, slots, offset);
    if (!written) continue;
    for (const auto& [to, from] : copies) copy_(to, from);
  }
}

// The norm of what grad_norm left in the parts.
double norm_of(NormKind kind, const TensorList& parts) {
  double total = 0;
  for (const Tensor& given : parts) {
    const Tensor part = to_device(given, Device{});
    for (int64_t i = 0; i < part.numel(); ++i) {
      const double x = part.data<double>()[i];
      if (kind != NormKind::max_abs) total += x;
      else if (x > total || x != x) total = x;
    }
  }
  return kind == NormKind::sum_squares ? std::sqrt(total) : total;
}

struct Clipping {
  double norm = 0, factor = 1;
};

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
  const Device device = grads.empty() ? Device{} : grads[0].device();
  TensorList parts;
  for_each_grad_dtype(grads, false, [&](DType type, const std::vector<GradientSlot>& slots, int64_t elements) {
    const Tensor& part = parts.emplace_back(make_empty({(elements + kNormChunk - 1) / kNormChunk}, DType::f64, device));
    const Tensor workspace = slot_workspace(slots.size(), device);
    launch(&KernelTable::grad_norm, device,
           GradNormArgs{slots.data(), static_cast<int64_t>(slots.size()), data_or_null(workspace), type, kind,
                        part.data<double>()});
  });
  Clipping local;
  Clipping* found = host_cell(local);
  on_host("total norm", [found, parts, kind, max_norm, error_if_nonfinite, count = grads.size()] {
    found->norm = norm_of(kind, parts);
    found->factor = max_norm / (found->norm + 1e-6);
    if (error_if_nonfinite && !std::isfinite(found->norm))
      throw ValueError(str("clip_grad_norm_: the norm of ", count, " gradients is ", found->norm));
  });
  const auto clips = [found] { return !(found->factor >= 1); };  // also when it is NaN, which must show in the gradients
  if (clips() || recording()) {
    for_each_grad_dtype(grads, true, [&](DType type, const std::vector<GradientSlot>& slots, int64_t) {
      const Tensor workspace = slot_workspace(slots.size(), device);
      launch(&KernelTable::scale_grads, device,
             ScaleGradsArgs{slots.data(), static_cast<int64_t>(slots.size()), data_or_null(workspace), type, 1},
             [=](ScaleGradsArgs& a) {
               a.factor = found->factor;
               return clips();
             });
    });
    for (const Tensor& g : grads) changed(g);
  }
  const Tensor norm = make_empty({}, dtype, device);
  launch(&KernelTable::fill, device, FillArgs{norm.view(), DType::f64, 0, 0},
         [found](FillArgs& a) { a.floating = found->norm; });
  return norm;
}

}  // namespace fastdl::ops
