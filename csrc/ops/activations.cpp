// Activations. Their gradients are one kernel each, over the incoming gradient and the function's input or output; where
// the gradient itself is to be differentiated, it is computed from plain ops instead.
#include "ops/elementwise.h"
#include "ops/launch.h"

namespace fastdl::ops {

namespace {

using T = const Tensor&;

enum class Saves { input, output };

// slope(v): the derivative in plain ops, where v is what is saved.
template <class F>
Tensor activation(const char* name, UnaryOp op, BinaryOp backward, Saves saves, T x, const Params& p, F slope) {
  const Tensor y = run_unary(op, x, floating_result(x.dtype()), p);
  if (records(x))
    record(name, y, {x}, [v = saves == Saves::input ? save(x) : save_output(y), name, backward, p, slope](GradCall& c) {
      const Tensor value = c(v);
      c.set(0, grad_enabled() ? mul(c.grad(), slope(value)) : run_binary(name, backward, c.grad(), value, c.grad().dtype(), p));
    });
  return y;
}

Tensor number(double v) { return scalar_tensor(v); }
Tensor one_minus(T x) { return sub(number(1), x); }
// The mask as numbers of like's type.
Tensor indicator(T mask, T like) { return to_dtype(mask, like.dtype()); }

}  // namespace

Tensor relu(T x) {
  if (!is_floating(x.dtype())) return run_unary(UnaryOp::relu, x, x.dtype());
  return activation("relu", UnaryOp::relu, BinaryOp::relu_backward, Saves::output, x, {},
                    [](T y) { return indicator(gt(y, number(0)), y); });
}
Tensor relu_(T self) {
  check_in_place("relu_", self, self.shape(), self.dtype());
  run_unary_into(UnaryOp::relu, self, self);
  changed(self);
  if (records(self))
    record("relu_", self, {self}, [y = save_output(self)](GradCall& c) {
      const Tensor v = c(y);
      c.set(0, grad_enabled() ? mul(c.grad(), indicator(gt(v, number(0)), v))
                              : run_binary("relu_", BinaryOp::relu_backward, c.grad(), v, v.dtype()));
    });
  return self;
}
Tensor sigmoid(T x) {
  return activation("sigmoid", UnaryOp::sigmoid, BinaryOp::sigmoid_backward, Saves::output, x, {},
                    [](T y) { return mul(y, one_minus(y)); });
}
Tensor tanh(T x) {
  return activation("tanh", UnaryOp::tanh, BinaryOp::tanh_backward, Saves::output, x, {},
                    [](T y) { return one_minus(square(y)); });
}
Tensor log_sigmoid(T x) {
  return activation("log_sigmoid", UnaryOp::log_sigmoid, BinaryOp::log_sigmoid_backward, Saves::input, x, {},
                    [](T v) { return sigmoid(neg(v)); });
}
Tensor leaky_relu(T x, double slope) {
  return activation("leaky_relu", UnaryOp::leaky_relu, BinaryOp::leaky_relu_backward, Saves::input, x, {{slope}},
                    [slope](T v) { return where(gt(v, number(0)), ones_like(v), full(v.shape(), slope, v.dtype(), v.device())); });
}
Tensor scaled_elu(T x, double alpha, double scale, double input_scale) {
  return activation("elu", UnaryOp::elu, BinaryOp::elu_backward, Saves::input, x, {{alpha, scale, input_scale}},
                    [=](T v) {
                      const Tensor negative = mul(exp(mul(v, number(input_scale))), number(alpha * scale * input_scale));
                      return where(le(v, number(0)), negative, full(v.shape(), scale, v.dtype(), v.device()));
                    });
}
Tensor elu(T x, double alpha) { return scaled_elu(x, alpha, 1, 1); }
Tensor selu(T x) { return scaled_elu(x, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1); }
Tensor celu(T x, double alpha) {
  if (alpha == 0) throw ValueError("celu: alpha must not be 0");
  return scaled_elu(x, alpha, 1, 1 / alpha);
}
Tensor gelu(T x, const std::string& approximate) {
  if (approximate == "tanh")
    return activation("gelu", UnaryOp::gelu_tanh, BinaryOp::gelu_tanh_backward, Saves::input, x, {}, [](T v) {
      const Tensor cube = mul(v, square(v));
      const Tensor t = tanh(mul(add(v, mul(cube, number(0.044715))), number(0.79788456080286535588)));
      const Tensor slope = mul(add(mul(square(v), number(3 * 0.044715)), number(1)), number(0.79788456080286535588));
      return mul(add(add(t, number(1)), mul(v, mul(one_minus(square(t)), slope))), number(0.5));
    });
  if (approximate != "none") throw ValueError(str("gelu: approximate is '", approximate, "', expected 'none' or 'tanh'"));
  return activation("gelu", UnaryOp::gelu, BinaryOp::gelu_backward, Saves::input, x, {}, [](T v) {
    const Tensor cdf = mul(add(erf(mul(v, number(0.70710678118654752440))), number(1)), number(0.5));
    const Tensor pdf = mul(exp(mul(square(v), number(-0.5))), number(0.39894228040143267794));
    return add(cdf, mul(v, pdf));
  });
}
Tensor silu(T x) {
  return activation("silu", UnaryOp::silu, BinaryOp::silu_backward, Saves::input, x, {}, [](T v) {
    const Tensor s = sigmoid(v);
    return mul(s, add(mul(v, one_minus(s)), number(1)));
  });
}
Tensor mish(T x) {
  return activation("mish", UnaryOp::mish, BinaryOp::mish_backward, Saves::input, x, {}, [](T v) {
    const Tensor t = tanh(softplus(v, 1, 20));
    return add(t, mul(v, mul(sigmoid(v), one_minus(square(t)))));
  });
}
Tensor softplus(T x, double beta, double threshold) {
  return activation("softplus", UnaryOp::softplus, BinaryOp::softplus_backward, Saves::input, x, {{beta, threshold}},
                    [=](T v) {
                      const Tensor scaled = mul(v, number(beta));
                      return where(gt(scaled, number(threshold)), ones_like(v), sigmoid(scaled));
                    });
}
Tensor softsign(T x) {
  return activation("softsign", UnaryOp::softsign, BinaryOp::softsign_backward, Saves::input, x, {},
                    [](T v) { return reciprocal(square(add(abs(v), number(1)))); });
}
Tensor hardswish(T x) {
  return activation("hardswish", UnaryOp::hardswish, BinaryOp::hardswish_backward, Saves::input, x, {}, [](T v) {
    const Tensor inside = add(div(v, number(3)), number(0.5));
    return where(lt(v, number(3)), mul(inside, indicator(gt(v, number(-3)), v)), ones_like(v));
  });
}
Tensor hardsigmoid(T x) {
  return activation("hardsigmoid", UnaryOp::hardsigmoid, BinaryOp::hardsigmoid_backward, Saves::input, x, {},
                    [](T v) { return div(indicator(lt(abs(v), number(3)), v), number(6)); });
}
Tensor hardtanh(T x, double low, double high) {
  if (low > high) throw ValueError(str("hardtanh: min_val ", low, " is larger than max_val ", high));
  return activation("hardtanh", UnaryOp::clamp, BinaryOp::hardtanh_backward, Saves::input, x, {{low, high}}, [=](T v) {
    return mul(indicator(gt(v, number(low)), v), indicator(lt(v, number(high)), v));
  });
}
Tensor clamp(T x, const std::optional<Tensor>& low, const std::optional<Tensor>& high) {
  if (!low && !high) throw ValueError("clamp: at least one of min and max must be given");
  const bool numbers = (!low || low->is_wrapped_number()) && (!high || high->is_wrapped_number());
  if (!numbers || !is_floating(x.dtype())) {
    const Tensor raised = low ? maximum(x, *low) : x;
    return high ? minimum(raised, *high) : raised;
  }
  const double a = low ? item(*low) : -__builtin_inf(), b = high ? item(*high) : __builtin_inf();
  return activation("clamp", UnaryOp::clamp, BinaryOp::clamp_backward, Saves::input, x, {{a, b}}, [=](T v) {
    return mul(indicator(ge(v, number(a)), v), indicator(le(v, number(b)), v));
  });
}

}  // namespace fastdl::ops
