// Copies, conversions, fills and ranges.
#include <cmath>

#include "core/accelerator.h"
#include "ops/elementwise.h"
#include "ops/launch.h"

namespace fastdl::ops {

namespace {

void run_copy(const Tensor& out, const Tensor& x) {
  CopyArgs args;
  args.out = out.view();
  args.x = x.shape() == out.shape() ? x.view() : broadcast_view(x, out.shape());
  launch(&KernelTable::copy, out.device(), args);
}

Tensor copied(const char* name, const Tensor& t, const Tensor& out) {
  run_copy(out, t);
  if (records(t)) record(name, out, {t}, [dtype = t.dtype()](GradCall& c) { c.set(0, to_dtype(c.grad(), dtype)); });
  return out;
}

}  // namespace

Tensor contiguous(const Tensor& t) {
  return t.is_contiguous() ? t : copied("contiguous", t, make_empty(t.shape(), t.dtype(), t.device()));
}
Tensor clone(const Tensor& t) { return copied("clone", t, empty_like(t)); }
Tensor to_dtype(const Tensor& t, DType dtype) { return t.dtype() == dtype ? t : copied("to", t, empty_like(t, dtype)); }
namespace {

// The elements of a dense tensor, into one of the same layout on another device.
void move_bytes(const Tensor& out, const Tensor& x, bool non_blocking) {
  const size_t bytes = static_cast<size_t>(x.bytes());
  const Accelerator& a = accelerator();
  const Device from = x.device(), to = out.device();
  if (from.is_cpu()) {
    a.copy_to_device(to.index, current_stream(to.index), out.data(), x.data(), bytes);
    if (!non_blocking) a.synchronize_stream(to.index, current_stream(to.index));
  } else if (to.is_cpu()) {
    a.copy_to_host(from.index, current_stream(from.index), out.data(), x.data(), bytes);
  } else {
    a.copy_between(to.index, out.data(), from.index, x.data(), current_stream(from.index), bytes);
  }
  check_accelerator("to");
}

}  // namespace

Tensor to_device(const Tensor& t, Device asked, bool non_blocking) {
  const Device device = checked_device(asked);
  if (t.device() == device) return t;
  const Tensor dense = t.is_contiguous() || t.is_channels_last() ? detach(t) : clone(detach(t));
  const Tensor out = make_empty_strided(dense.shape(), dense.strides(), t.dtype(), device);
  if (dense.numel() > 0) on_host("to", [out, dense, non_blocking] { move_bytes(out, dense, non_blocking); });
  if (records(t)) record("to", out, {t}, [from = t.device()](GradCall& c) { c.set(0, to_device(c.grad(), from)); });
  return out;
}

Tensor to_channels_last(const Tensor& t) {
  if (t.ndim() != 4) throw ShapeError(str("channels_last: expected 4 dimensions (N, C, H, W), got shape ", t.shape()));
  return channels_innermost(t);
}

Tensor channels_innermost(const Tensor& t) {
  if (t.is_channels_last()) return t;
  return copied("to_channels_last", t, make_empty_strided(t.shape(), channels_last_strides(t.shape()), t.dtype(), t.device()));
}

Tensor copy_(const Tensor& self, const Tensor& source) {
  check_writable("copy_", self);
  if (!(broadcast_shapes("copy_", self.shape(), source.shape()) == self.shape()))
    throw ShapeError(str("copy_: shape ", source.shape(), " does not broadcast to ", self.shape()));
  if (!(source.device() == self.device()) && !is_number(source)) run_copy(self, to_device(detach(source), self.device()));
  else if (!self.same(source)) run_copy(self, without_partial_overlap(source, self));
  changed(self);
  if (records(self, source))
    record("copy_", self, {self, source},
           [shape = source.shape(), dtype = source.dtype(), from = source.device()](GradCall& c) {
             if (c.wants(0)) c.set(0, zeros_like(c.grad()));
             if (c.wants(1)) c.set(1, to_device(unbroadcast(c.grad(), shape, dtype), from));
           });
  return self;
}

Tensor fill_(const Tensor& self, const Scalar& value) {
  check_writable("fill_", self);
  FillArgs args;
  args.out = self.view();
  args.type = value.kind == Scalar::floating ? DType::f64 : DType::i64;
  args.floating = value.d;
  args.integer = value.i;
  launch(&KernelTable::fill, self.device(), args);
  changed(self);
  if (records(self)) record("fill_", self, {self}, [](GradCall& c) { c.set(0, zeros_like(c.grad())); });
  return self;
}
Tensor zero_(const Tensor& self) { return fill_(self, int64_t{0}); }

Tensor arange(const Scalar& start, const Scalar& end, const Scalar& step, DType dtype, Device device) {
  const bool integers = start.kind != Scalar::floating && end.kind != Scalar::floating && step.kind != Scalar::floating;
  if (step.d == 0) throw ValueError("arange: the step must not be 0");
  if (!std::isfinite(start.d) || !std::isfinite(end.d) || !std::isfinite(step.d))
    throw ValueError(str("arange: start ", start.d, ", end ", end.d, " and step ", step.d, " must be finite"));
  if ((end.d - start.d) / step.d < 0)
    throw ValueError(str("arange: from ", start.d, " to ", end.d, " with a step of ", step.d, " in the other direction"));
  const double count = integers ? 0 : std::ceil((end.d - start.d) / step.d);
  if (count > 9e18) throw ShapeError(str("arange: ", count, " elements"));
  const int64_t distance = end.i - start.i;
  const int64_t n = integers ? distance / step.i + (distance % step.i != 0) : static_cast<int64_t>(count);
  const Tensor out = make_empty({n}, dtype, device);
  ArangeArgs args;
  args.out = out.view();
  args.type = integers ? DType::i64 : DType::f64;
  args.start = start.d;
  args.step = step.d;
  args.integer_start = start.i;
  args.integer_step = step.i;
  launch(&KernelTable::arange, device, args);
  return out;
}

}  // namespace fastdl::ops
