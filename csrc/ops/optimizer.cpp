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

struct StateList {
  const char* name;
  const TensorList* list;
};

void check_step(const char* op, const TensorList& params, const TensorList& grads,
                const std::vector<StateList>& states) {
  const auto check = [&](const char* name, const TensorList& list) {
    if (list.size() != params.size())
      throw ValueError(str(op, ": ", list.size(), " ", name, " for ", params.size(), " params"));
    for (size_t i = 0; i < list.size(); ++i) {
      if (!list[i].defined() && &list == &grads) continue;
      if (list[i].shape() != params[i].shape())
        throw ShapeError(
            str(op, ": ", name, "[", i, "] has shape ", list[i].shape(), ", its parameter ", params[i].shape()));
      if (list[i].dtype() != params[i].dtype())
        throw DTypeError(str(op, ": ", name, "[", i, "] is ", list[i].dtype(), ", its parameter ", params[i].dtype()));
      if (list[i].device() != params[i].device() || params[i].device() != params[0].device())
        throw DeviceError(
            str(op, ": ", name, "[", i, "] and its parameter must be on the device of the first parameter"));
    }
  };
  for (const Tensor& p : params) check_floating(op, p);
  check("grads", grads);
  for (const StateList& s : states)
    if (!s.list->empty()) check(s.name, *s.list);
}

// Runs run(dtype, first, slots) once for each dtype and step count among the parameters that have a gradient; `first` is
// the number of the group's first parameter.
template <class Run>
void for_each_group(const TensorList& params, const TensorList& grads, const std::vector<StateList>& states,
                    const std::vector<double>& steps, const Run& run) {
  const GradMode no_grad(false);
  const auto step_of = [&](size_t i) { return steps.empty() ? 0.0 : steps[i]; };
  std::vector<bool> done(params.size());
  for (size_t i = 0; i < params.size(); ++i) done[i] = !grads[i].defined() || params[i].numel() == 0;
  for (size_t first = 0; first < params.size(); ++first) {
    if (done[first]) continue;
    std::vector<ParameterSlot> slots;
    std::vector<SameOrder> orders;
    int64_t offset = 0;
    for (size_t i = first; i < params.size(); ++i) {
      if (done[i] || params[i].dtype() != params[first].dtype() || step_of(i) != step_of(first)) continue;
      done[i] = true;
      SameOrder& order = orders.emplace_back(params[i]);
      ParameterSlot slot{order.written(params[i]), order.read(grads[i]), {}, params[i].numel(), offset};
      for (size_t s = 0; s < states.size(); ++s)
        if (!states[s].list->empty()) slot.state[s] = order.written((*states[s].list)[i]);
      slots.push_back(slot);
      offset += slot.numel;
    }
    run(params[first].dtype(), first, slots);
    for (SameOrder& order : orders) order.copy_back();
  }
  for (size_t i = 0; i < params.size(); ++i) {
    if (!grads[i].defined()) continue;
    changed(params[i]);
    for (const StateList& s : states)
      if (!s.list->empty()) changed((*s.list)[i]);
  }
}

// Counts the step of each parameter that has a gradient.
std::vector<double> count_steps(const char* op, const TensorList& steps, const TensorList& grads) {
  for (const Tensor& t : steps)
    if (!t.defined() || t.dtype() != DType::f32 || t.numel() != 1)
      throw ValueError(str(op, ": steps must be float32 tensors of one element"));
  TensorList counting;
  for (size_t i = 0; i < steps.size(); ++i)
    if (grads[i].defined()) counting.push_back(steps[i]);
  host_writes(counting);
  on_host("count steps", [counting] {
    for (const Tensor& t : counting) {
      *t.data<float>() += 1;
      changed(t);
    }
  });
  std::vector<double> counted;
  for (const Tensor& t : steps) counted.push_back(*t.data<float>());
  return counted;
}

}  // namespace

void sgd_step(const TensorList& params, const TensorList& grads, const TensorList& momentum_buffers, const Number& lr,
              const Number& momentum, const Number& dampening, const Number& weight_decay, bool nesterov, bool maximize,
              bool first) {
  const std::vector<StateList> states = {{"momentum_buffers", &momentum_buffers}};
  check_step("sgd_step", params, grads, states);
  if (momentum != 0 && momentum_buffers.size() != params.size())
    throw ValueError(
        str("sgd_step: momentum ", momentum.now(), " needs a momentum buffer for each of ", params.size(), " params"));
  for_each_group(params, grads, states, {}, [&](DType dtype, size_t, const std::vector<ParameterSlot>& slots) {
    SgdStepArgs args{};
    args.slots = slots.data();
    args.count = static_cast<int64_t>(slots.size());
    args.dtype = dtype;
    args.nesterov = nesterov;
    args.maximize = maximize;
    args.first = first;
    launch(&KernelTable::sgd_step, params[0].device(), args, [=](SgdStepArgs& a) {
      a.lr = lr.now();
      a.momentum = momentum.now();
      a.dampening = dampening.now();
      a.weight_decay = weight_decay.now();
    });
  });
}

void adam_step(const TensorList& params, const TensorList& grads, const TensorList& exp_avgs,
               const TensorList& exp_avg_sqs, const TensorList& max_exp_avg_sqs, const TensorList& steps, const Number& lr,
               const Number& beta1, const Number& beta2, const Number& eps, const Number& weight_decay, bool decoupled,
               bool amsgrad, bool maximize) {
  const std::vector<StateList> states = {
      {"exp_avgs", &exp_avgs}, {"exp_avg_sqs", &exp_avg_sqs}, {"max_exp_avg_sqs", &max_exp_avg_sqs}};
  check_step("adam_step", params, grads, states);
  if (exp_avgs.size() != params.size() || exp_avg_sqs.size() != params.size() ||
      (amsgrad && max_exp_avg_sqs.size() != params.size()))
    throw ValueError(str("adam_step: ", params.size(), " params need as many exp_avgs (", exp_avgs.size(),
                         "), exp_avg_sqs (", exp_avg_sqs.size(), ") and, with amsgrad, max_exp_avg_sqs (",
                         max_exp_avg_sqs.size(), ")"));
  if (steps.size() != params.size())
    throw ValueError(str("adam_step: ", steps.size(), " steps for ", params.size(), " params"));
  const std::vector<double> counted = count_steps("adam_step", steps, grads);
  for_each_group(params, grads, states, counted,
                 [&](DType dtype, size_t first, const std::vector<ParameterSlot>& slots) {
                   AdamStepArgs args{};
                   args.slots = slots.data();
                   args.count = static_cast<int64_t>(slots.size());
                   args.dtype = dtype;
                   args.decoupled = decoupled;
                   args.amsgrad = amsgrad;
                   args.maximize = maximize;
                   launch(&KernelTable::adam_step, params[0].device(), args, [=, step = steps[first]](AdamStepArgs& a) {
                     const double t = *step.data<float>();
                     a.lr = lr.now();
                     a.beta1 = beta1.now();
                     a.beta2 = beta2.now();
                     a.eps = eps.now();
                     a.weight_decay = weight_decay.now();
                     a.correction1 = 1 - std::pow(a.beta1, t);
                     a.correction2 = 1 - std::pow(a.beta2, t);
                   });
                 });
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
  for (const Tensor& part : parts) {
    for (int64_t i = 0; i < part.numel(); ++i) {
      const double x = part.data<double>()[i];
      if (kind != NormKind::max_abs)
        total += x;
      else if (x > total || x != x)
        total = x;
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
    launch(&KernelTable::grad_norm, device,
           GradNormArgs{slots.data(), static_cast<int64_t>(slots.size()), type, kind, part.data<double>()});
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
      launch(&KernelTable::scale_grads, device, ScaleGradsArgs{slots.data(), static_cast<int64_t>(slots.size()), type, 1},
             [=](ScaleGradsArgs& a) {
               a.factor = found->factor;
               return clips();
             });
    });
    for (const Tensor& g : grads) changed(g);
  }
  const Tensor norm = make_empty({}, dtype, device);
  launch(&KernelTable::fill, device, FillArgs{norm.view(), DType::f64, 0, 0}, [found](FillArgs& a) { a.floating = found->norm; });
  return norm;
}

}  // namespace fastdl::ops
