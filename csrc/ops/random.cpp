#include "ops/launch.h"
#include "ops/ops.h"

namespace fastdl::ops {

namespace {

// Fills self in the order of its elements; a strided tensor is filled through a contiguous one.
Tensor fill_random(const char* op, const Tensor& self, RandomArgs args, Generator* generator) {
  check_writable(op, self);
  const bool wide =
      self.dtype() == DType::f64 || (args.distribution == Distribution::integers && (args.range == 0 || args.range >> 32 > 0));
  args.philox = generator->reserve(static_cast<uint64_t>(self.numel()) / (wide ? 2 : 4) + 1);
  GradMode no_grad(false);
  const Tensor out = self.is_contiguous() ? self : empty(self.shape(), self.dtype(), self.device());
  args.out = out.view();
  launch(&KernelTable::random, self.device(), args);
  if (out.same(self)) changed(self);
  else copy_(self, out);
  return self;
}

Tensor apply_dropout(const Tensor& t, const PhiloxState& state, double p) {
  const Tensor in = contiguous(t);
  Tensor out = empty(t.shape(), t.dtype(), t.device());
  launch(&KernelTable::dropout, t.device(), DropoutArgs{in.view(), out.view(), state, p, 1.0 / (1.0 - p)});
  if (records(t)) record("dropout", out, {t}, [state, p](GradCall& c) { c.set(0, apply_dropout(c.grad(), state, p)); });
  return out;
}

}  // namespace

Tensor uniform_(const Tensor& self, double from, double to, Generator* generator) {
  check_floating("uniform_", self);
  if (!(from <= to)) throw ValueError(str("uniform_: from ", from, " must not exceed to ", to));
  return fill_random("uniform_", self, {{}, {}, Distribution::uniform, from, to, 0, 0}, generator);
}

Tensor normal_(const Tensor& self, double mean, double std, Generator* generator) {
  check_floating("normal_", self);
  if (!(std >= 0)) throw ValueError(str("normal_: standard deviation ", std, ", expected at least 0"));
  return fill_random("normal_", self, {{}, {}, Distribution::normal, mean, std, 0, 0}, generator);
}

Tensor random_integers_(const Tensor& self, int64_t low, int64_t high, Generator* generator) {
  if (low >= high) throw ValueError(str("randint: low ", low, " must be less than high ", high));
  return fill_random("randint", self,
                     {{}, {}, Distribution::integers, 0, 0, low, static_cast<uint64_t>(high) - static_cast<uint64_t>(low)},
                     generator);
}

Tensor bernoulli(const Tensor& probabilities, Generator* generator) {
  check_floating("bernoulli", probabilities);
  GradMode no_grad(false);
  const Tensor p = detach(probabilities);
  if (p.numel() > 0) {
    on_host("check probabilities", [least = amin(p, std::nullopt, false), most = amax(p, std::nullopt, false)] {
      if (!(item(least) >= 0 && item(most) <= 1)) throw ValueError("bernoulli: probabilities must lie in [0, 1]");
    });
  }
  return to_dtype(
      lt(uniform_(empty(p.shape(), p.dtype() == DType::f64 ? DType::f64 : DType::f32, p.device()), 0, 1, generator), p),
      p.dtype());
}

Tensor randperm(int64_t n, DType dtype, Generator* generator) {
  if (n < 0) throw ValueError(str("randperm: n = ", n, ", expected at least 0"));
  GradMode no_grad(false);
  const Tensor keys = fill_random("randperm", empty({n}, DType::i64), {{}, {}, Distribution::integers, 0, 0, 0, 0}, generator);
  return to_dtype(argsort(keys, 0, false, true), dtype);
}

Tensor dropout(const Tensor& t, double p, bool training) {
  if (!(p >= 0 && p <= 1)) throw ValueError(str("dropout: probability ", p, ", expected a value in [0, 1]"));
  check_floating("dropout", t);
  if (!training || p == 0) return t;
  if (p == 1) return mul(t, zeros_like(detach(t)));
  return apply_dropout(t, default_generator().reserve(static_cast<uint64_t>(t.numel()) / 4 + 1), p);
}

}  // namespace fastdl::ops
