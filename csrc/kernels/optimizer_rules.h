// The formulas of the update rules, written once for every backend. A backend includes this file inside the namespace
// of its kernel, after its own sqrt, abs, max_nan and min_nan: V is there a vector, or on a GPU one number, and C the
// number that it is made of.
//
// A rule has two parts. `prepare` runs once a parameter and step: it counts in the cells and turns the options into the
// coefficients k. `apply` runs once an element: it changes the states s and returns the new parameter. The gradient g
// that it gets has its sign (maximize) and L2 penalty already, and p is already shrunk by decoupled weight decay.

template <OptimizerRule>
struct Rule;

// NaN stays.
template <class V>
FASTDL_INLINE V sign_of(V x) {
  return x > 0 ? V{} + 1 : (x < 0 ? V{} - 1 : x);
}
template <class V, class C>
FASTDL_INLINE V mixed(V a, V b, C share) {
  return a + (b - a) * share;
}

template <>
struct Rule<OptimizerRule::sgd> {
  FASTDL_INLINE static void prepare(const OptimizerStepArgs&, double lr, ParameterSlot& slot) { slot.k[0] = lr; }
  template <class V, class C>
  FASTDL_INLINE static V apply(V p, V g, V*, const C* k) {
    return p - g * k[0];
  }
};

template <>
struct Rule<OptimizerRule::momentum> {
  FASTDL_INLINE static void prepare(const OptimizerStepArgs& a, double lr, ParameterSlot& slot) {
    slot.k[0] = lr;
    slot.k[1] = a.options[0];
    slot.k[2] = 1 - a.options[1];
    slot.k[3] = a.options[2];
  }
  template <class V, class C>
  FASTDL_INLINE static V apply(V p, V g, V* s, const C* k) {
    s[0] = s[0] * k[1] + g * k[2];
    return p - (k[3] != 0 ? g + s[0] * k[1] : s[0]) * k[0];
  }
};

// p -= lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
template <>
struct Rule<OptimizerRule::adam> {
  FASTDL_INLINE static void prepare(const OptimizerStepArgs& a, double lr, ParameterSlot& slot) {
    const double step = *slot.cells[0], beta1 = a.options[0], beta2 = a.options[1];
    slot.k[0] = 1 - beta1;
    slot.k[1] = beta2;
    slot.k[2] = 1 - beta2;
    slot.k[3] = lr / (1 - ::pow(beta1, step));
    slot.k[4] = 1 / ::sqrt(1 - ::pow(beta2, step));
    slot.k[5] = a.options[2];
  }
  template <class V, class C>
  FASTDL_INLINE static V apply(V p, V g, V* s, const C* k) {
    s[0] = mixed(s[0], g, k[0]);
    s[1] = s[1] * k[1] + g * g * k[2];
    return p - s[0] * k[3] / (sqrt(s[1]) * k[4] + k[5]);
  }
};

template <>
struct Rule<OptimizerRule::amsgrad> : Rule<OptimizerRule::adam> {
  template <class V, class C>
  FASTDL_INLINE static V apply(V p, V g, V* s, const C* k) {
    s[0] = mixed(s[0], g, k[0]);
    s[1] = s[1] * k[1] + g * g * k[2];
    s[2] = max_nan(s[1], s[2]);
    return p - s[0] * k[3] / (sqrt(s[2]) * k[4] + k[5]);
  }
};

template <>
struct Rule<OptimizerRule::adamax> {
  FASTDL_INLINE static void prepare(const OptimizerStepArgs& a, double lr, ParameterSlot& slot) {
    slot.k[0] = 1 - a.options[0];
    slot.k[1] = a.options[1];
    slot.k[2] = lr / (1 - ::pow(a.options[0], *slot.cells[0]));
    slot.k[3] = a.options[2];
  }
  template <class V, class C>
  FASTDL_INLINE static V apply(V p, V g, V* s, const C* k) {
    s[0] = mixed(s[0], g, k[0]);
    s[1] = max_nan<V>(s[1] * k[1], abs(g) + k[3]);
    return p - s[0] / s[1] * k[2];
  }
};

// mu_t = beta1 (1 - 0.96^(t decay) / 2); the step is lr / (sqrt(v') + eps) times
// (1 - mu_t) / (1 - product) g + mu_(t+1) / (1 - product mu_(t+1)) m, with the product of all mu up to mu_t.
template <>
struct Rule<OptimizerRule::nadam> {
  FASTDL_INLINE static void prepare(const OptimizerStepArgs& a, double lr, ParameterSlot& slot) {
    const double step = *slot.cells[0], beta1 = a.options[0], beta2 = a.options[1];
    const double mu = beta1 * (1 - 0.5 * ::pow(0.96, step * a.options[3]));
    const double next = beta1 * (1 - 0.5 * ::pow(0.96, (step + 1) * a.options[3]));
    const double product = *slot.cells[1] *= static_cast<float>(mu);
    slot.k[0] = 1 - beta1;
    slot.k[1] = beta2;
    slot.k[2] = 1 - beta2;
    slot.k[3] = lr * (1 - mu) / (1 - product);
    slot.k[4] = lr * next / (1 - product * next);
    slot.k[5] = 1 / ::sqrt(1 - ::pow(beta2, step));
    slot.k[6] = a.options[2];
  }
  template <class V, class C>
  FASTDL_INLINE static V apply(V p, V g, V* s, const C* k) {
    s[0] = mixed(s[0], g, k[0]);
    s[1] = s[1] * k[1] + g * g * k[2];
    return p - (g * k[3] + s[0] * k[4]) / (sqrt(s[1]) * k[5] + k[6]);
  }
};

// Adam where the variance of its step can be estimated (rho > 5), momentum before.
template <>
struct Rule<OptimizerRule::radam> {
  FASTDL_INLINE static void prepare(const OptimizerStepArgs& a, double lr, ParameterSlot& slot) {
    const double step = *slot.cells[0], beta1 = a.options[0], beta2 = a.options[1];
    const double power = ::pow(beta2, step), longest = 2 / (1 - beta2) - 1;
    const double rho = longest - 2 * step * power / (1 - power);
    const double size = lr / (1 - ::pow(beta1, step));
    slot.k[0] = 1 - beta1;
    slot.k[1] = beta2;
    slot.k[2] = 1 - beta2;
    slot.k[3] = rho > 5;
    slot.k[4] = size;
    if (rho > 5)
      slot.k[4] = size * ::sqrt((1 - power) * (rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho));
    slot.k[5] = a.options[2];
  }
  template <class V, class C>
  FASTDL_INLINE static V apply(V p, V g, V* s, const C* k) {
    s[0] = mixed(s[0], g, k[0]);
    s[1] = s[1] * k[1] + g * g * k[2];
    return p - (k[3] != 0 ? s[0] * k[4] / (sqrt(s[1]) + k[5]) : s[0] * k[4]);
  }
};

template <bool Centered, bool Momentum>
struct Rmsprop {
  FASTDL_INLINE static void prepare(const OptimizerStepArgs& a, double lr, ParameterSlot& slot) {
    slot.k[0] = a.options[0];
    slot.k[1] = 1 - a.options[0];
    slot.k[2] = a.options[1];
    slot.k[3] = lr;
    slot.k[4] = a.options[2];
  }
  template <class V, class C>
  FASTDL_INLINE static V apply(V p, V g, V* s, const C* k) {
    s[0] = s[0] * k[0] + g * g * k[1];
    V variance = s[0];
    if constexpr (Centered) {
      s[1] = mixed(s[1], g, k[1]);
      variance = s[0] - s[1] * s[1];
    }
    const V step = g / (sqrt(variance) + k[2]);
    if constexpr (!Momentum) return p - step * k[3];
    V& buffer = s[Centered ? 2 : 1];
    buffer = buffer * k[4] + step;
    return p - buffer * k[3];
  }
};
template <>
struct Rule<OptimizerRule::rmsprop> : Rmsprop<false, false> {};
template <>
struct Rule<OptimizerRule::rmsprop_momentum> : Rmsprop<false, true> {};
template <>
struct Rule<OptimizerRule::rmsprop_centered> : Rmsprop<true, false> {};
template <>
struct Rule<OptimizerRule::rmsprop_centered_momentum> : Rmsprop<true, true> {};

template <>
struct Rule<OptimizerRule::adagrad> {
  FASTDL_INLINE static void prepare(const OptimizerStepArgs& a, double lr, ParameterSlot& slot) {
    slot.k[0] = lr / (1 + (*slot.cells[0] - 1.0) * a.options[0]);
    slot.k[1] = a.options[1];
  }
  template <class V, class C>
  FASTDL_INLINE static V apply(V p, V g, V* s, const C* k) {
    s[0] = s[0] + g * g;
    return p - g * k[0] / (sqrt(s[0]) + k[1]);
  }
};

template <>
struct Rule<OptimizerRule::adadelta> {
  FASTDL_INLINE static void prepare(const OptimizerStepArgs& a, double lr, ParameterSlot& slot) {
    slot.k[0] = a.options[0];
    slot.k[1] = 1 - a.options[0];
    slot.k[2] = a.options[1];
    slot.k[3] = lr;
  }
  template <class V, class C>
  FASTDL_INLINE static V apply(V p, V g, V* s, const C* k) {
    s[0] = s[0] * k[0] + g * g * k[1];
    const V step = sqrt(s[1] + k[2]) / sqrt(s[0] + k[2]) * g;
    s[1] = s[1] * k[0] + step * step * k[1];
    return p - step * k[3];
  }
};

// eta and mu of this step were computed by the last one.
template <>
struct Rule<OptimizerRule::asgd> {
  FASTDL_INLINE static void prepare(const OptimizerStepArgs& a, double lr, ParameterSlot& slot) {
    const double step = *slot.cells[0], decay = a.options[0];
    slot.k[0] = *slot.cells[1];
    slot.k[1] = *slot.cells[2];
    slot.shrink = 1 - decay * slot.k[0];
    *slot.cells[1] = static_cast<float>(lr / ::pow(1 + decay * lr * step, a.options[1]));
    *slot.cells[2] = static_cast<float>(1 / (step - a.options[2] > 1 ? step - a.options[2] : 1));
  }
  template <class V, class C>
  FASTDL_INLINE static V apply(V p, V g, V* s, const C* k) {
    const V moved = p - g * k[0];
    s[0] = k[1] == 1 ? moved : mixed(s[0], moved, k[1]);
    return moved;
  }
};

template <>
struct Rule<OptimizerRule::rprop> {
  FASTDL_INLINE static void prepare(const OptimizerStepArgs& a, double, ParameterSlot& slot) {
    for (int i = 0; i < 4; ++i) slot.k[i] = a.options[i];
  }
  template <class V, class C>
  FASTDL_INLINE static V apply(V p, V g, V* s, const C* k) {
    const V agreement = g * s[0], one = V{} + 1;
    const V factor = agreement > 0 ? one * k[1] : (agreement < 0 ? one * k[0] : one);
    s[1] = min_nan<V>(max_nan<V>(s[1] * factor, one * k[2]), one * k[3]);
    s[0] = agreement < 0 ? V{} : g;  // a gradient that turned round moves nothing this time
    return p - sign_of(s[0]) * s[1];
  }
};

template <>
struct Rule<OptimizerRule::lion> {
  FASTDL_INLINE static void prepare(const OptimizerStepArgs& a, double lr, ParameterSlot& slot) {
    slot.k[0] = lr;
    slot.k[1] = 1 - a.options[0];
    slot.k[2] = 1 - a.options[1];
  }
  template <class V, class C>
  FASTDL_INLINE static V apply(V p, V g, V* s, const C* k) {
    const V direction = sign_of(mixed(s[0], g, k[1]));
    s[0] = mixed(s[0], g, k[2]);
    return p - direction * k[0];
  }
};

// One step of a rule for one parameter: the learning rate is read here, where a captured step finds its present value.
template <OptimizerRule R>
FASTDL_INLINE void prepare_slot(const OptimizerStepArgs& a, ParameterSlot& slot) {
  const double lr = a.lr_cell ? *a.lr_cell : a.lr;
  if (slot.cells[0]) *slot.cells[0] += 1;
  slot.shrink = a.decoupled ? 1 - lr * a.weight_decay : 1;
  Rule<R>::prepare(a, lr, slot);
}
