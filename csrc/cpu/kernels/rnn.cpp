// Recurrent layers. W is packed once; the batch is split into groups of rows, and each task carries its group through all
// time steps alone, so steps need no barrier. A step is a product of the group's h (kept in L1) with W (from L2 or L3)
// and one pass over the gates while they are in L2.
// Forward: 2 T B G H^2 FLOP; backward: as many. W is read once a step and group.
#include "cpu/gemm/gemm.h"
#include "cpu/kernels/level.h"
#include "cpu/simd/activation.h"
#include "cpu/simd/rows.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int64_t kGroupRows = 16;

// The rows [row, row + rows) of a (T, B, width) tensor.
template <class T> struct Sequence {
  T* data;
  int64_t batch, width, row;
  FASTDL_INLINE T* at(int64_t step) const { return data + (step * batch + row) * width; }
};

template <class T> struct Group {
  const RnnSizes& sizes;
  int64_t row, rows;
  template <class P> FASTDL_INLINE Sequence<T> sequence(P* data, int64_t width) const {
    return {static_cast<T*>(const_cast<void*>(static_cast<const void*>(data))), sizes.batch, width, row};
  }
  FASTDL_INLINE int64_t step(int64_t s) const { return sizes.reverse ? sizes.steps - 1 - s : s; }
};

// c (rows, n) = act(a (rows, k) B + addend), B packed.
template <class T> FASTDL_INLINE void multiply(int64_t rows, int64_t n, int64_t k, const T* a, const T* b, T* c,
                                               const T* addend, int64_t addend_row, Activation activation = Activation::none) {
  Gemm<T> g{rows, n, k};
  g.a = strided<T>(a, k, 1);
  g.b = prepacked<T>(b);
  g.c = c;
  g.c_stride = n;
  g.addend = addend;
  g.addend_row_stride = addend_row;
  g.activation = activation;
  gemm(g);
}

// --- one step of a group, forward: element by element ---

template <class T> void lstm_cell(int64_t rows, int64_t H, T* gates, const T* c_before, T* c, T* h) {
  using V = compute_vector<T>;
  for (int64_t r = 0; r < rows; ++r, gates += 4 * H, c_before += H, c += H, h += H)
    each_vector<V>(H, [&](int64_t j, int64_t count) {
      const V i = sigmoid(load_part<V>(gates + j, count)), f = sigmoid(load_part<V>(gates + H + j, count));
      const V g = tanh(load_part<V>(gates + 2 * H + j, count)), o = sigmoid(load_part<V>(gates + 3 * H + j, count));
      const V cell = f * load_part<V>(c_before + j, count) + i * g;
      store_part<V>(gates + j, i, count);
      store_part<V>(gates + H + j, f, count);
      store_part<V>(gates + 2 * H + j, g, count);
      store_part<V>(gates + 3 * H + j, o, count);
      store_part<V>(c + j, cell, count);
      store_part<V>(h + j, V(o * tanh(cell)), count);
    });
}

template <class T> void gru_cell(int64_t rows, int64_t H, T* gates, const T* u, const T* h_before, T* u_n, T* h) {
  using V = compute_vector<T>;
  for (int64_t r = 0; r < rows; ++r, gates += 3 * H, u += 3 * H, h_before += H, u_n += H, h += H)
    each_vector<V>(H, [&](int64_t j, int64_t count) {
      const V reset = sigmoid(V(load_part<V>(gates + j, count) + load_part<V>(u + j, count)));
      const V z = sigmoid(V(load_part<V>(gates + H + j, count) + load_part<V>(u + H + j, count)));
      const V recurrent = load_part<V>(u + 2 * H + j, count);
      const V n = tanh(V(load_part<V>(gates + 2 * H + j, count) + reset * recurrent));
      store_part<V>(gates + j, reset, count);
      store_part<V>(gates + H + j, z, count);
      store_part<V>(gates + 2 * H + j, n, count);
      store_part<V>(u_n + j, recurrent, count);
      store_part<V>(h + j, V(n + z * (load_part<V>(h_before + j, count) - n)), count);
    });
}

template <class T> void forward_group(const RnnArgs& args, const Group<T>& group) {
  const RnnSizes& s = args.sizes;
  const int64_t H = s.hidden, G = rnn_gates(s.cell) * H, rows = group.rows;
  const Sequence<T> gates = group.sequence(args.gates, G), output = group.sequence(args.output, H);
  const Sequence<T> cells = group.sequence(args.cells, H);
  const T* weight = static_cast<const T*>(args.workspace);
  const T* h = static_cast<const T*>(args.h0) + group.row * H;
  const T* c = s.cell == RnnCell::lstm ? static_cast<const T*>(args.c0) + group.row * H : nullptr;
  T* u = s.cell == RnnCell::gru ? static_cast<T*>(args.recurrent) + group.row * G : nullptr;
  for (int64_t i = 0; i < s.steps; ++i) {
    const int64_t t = group.step(i);
    T* out = output.at(t);
    switch (s.cell) {
      case RnnCell::tanh: multiply<T>(rows, G, H, h, weight, out, gates.at(t), G, Activation::tanh); break;
      case RnnCell::relu: multiply<T>(rows, G, H, h, weight, out, gates.at(t), G, Activation::relu); break;
      case RnnCell::lstm:
        multiply<T>(rows, G, H, h, weight, gates.at(t), gates.at(t), G);
        lstm_cell<T>(rows, H, gates.at(t), c, cells.at(t), out);
        c = cells.at(t);
        break;
      case RnnCell::gru:
        multiply<T>(rows, G, H, h, weight, u, static_cast<const T*>(args.bias), 0);
        gru_cell<T>(rows, H, gates.at(t), u, h, cells.at(t), out);
        break;
    }
    h = out;
  }
}

// --- one step of a group, backward: dh and dc arrive from the step after, with this step's part added ---

template <class T> void plain_cell_backward(RnnCell cell, int64_t n, const T* h, const T* grad_h, const T* dh, T* grad_gates) {
  using V = compute_vector<T>;
  each_vector<V>(n, [&](int64_t j, int64_t count) {
    const V y = load_part<V>(h + j, count), d = load_part<V>(dh + j, count) + load_part<V>(grad_h + j, count);
    store_part<V>(grad_gates + j, cell == RnnCell::tanh ? V(d * (1 - y * y)) : select<V>(y > 0, d, zero<V>()), count);
  });
}

// dc is updated in place to that of the step before.
template <class T> void lstm_cell_backward(int64_t rows, int64_t H, const T* gates, const T* c, const T* c_before,
                                           const T* grad_h, const T* grad_c, const T* dh, T* dc, T* grad_gates) {
  using V = compute_vector<T>;
  for (int64_t r = 0; r < rows; ++r) {
    each_vector<V>(H, [&](int64_t j, int64_t count) {
      const V i = load_part<V>(gates + j, count), f = load_part<V>(gates + H + j, count);
      const V g = load_part<V>(gates + 2 * H + j, count), o = load_part<V>(gates + 3 * H + j, count);
      const V tanh_c = tanh(load_part<V>(c + j, count));
      const V d = load_part<V>(dh + j, count) + load_part<V>(grad_h + j, count);
      V d_cell = load_part<V>(dc + j, count) + d * o * (1 - tanh_c * tanh_c);
      if (grad_c) d_cell += load_part<V>(grad_c + j, count);
      store_part<V>(grad_gates + j, V(d_cell * g * i * (1 - i)), count);
      store_part<V>(grad_gates + H + j, V(d_cell * load_part<V>(c_before + j, count) * f * (1 - f)), count);
      store_part<V>(grad_gates + 2 * H + j, V(d_cell * i * (1 - g * g)), count);
      store_part<V>(grad_gates + 3 * H + j, V(d * tanh_c * o * (1 - o)), count);
      store_part<V>(dc + j, V(d_cell * f), count);
    });
    gates += 4 * H, grad_gates += 4 * H, c += H, c_before += H, grad_h += H, dh += H, dc += H;
    if (grad_c) grad_c += H;
  }
}

// dh is updated in place to the part of the step before that does not pass through u.
template <class T> void gru_cell_backward(int64_t rows, int64_t H, const T* gates, const T* u_n, const T* h_before,
                                          const T* grad_h, T* dh, T* grad_gates, T* grad_u) {
  using V = compute_vector<T>;
  for (int64_t r = 0; r < rows; ++r) {
    each_vector<V>(H, [&](int64_t j, int64_t count) {
      const V reset = load_part<V>(gates + j, count), z = load_part<V>(gates + H + j, count);
      const V n = load_part<V>(gates + 2 * H + j, count);
      const V d = load_part<V>(dh + j, count) + load_part<V>(grad_h + j, count);
      const V d_n = d * (1 - z) * (1 - n * n), d_z = d * (load_part<V>(h_before + j, count) - n) * z * (1 - z);
      const V d_reset = d_n * load_part<V>(u_n + j, count) * reset * (1 - reset);
      store_part<V>(grad_gates + j, d_reset, count);
      store_part<V>(grad_gates + H + j, d_z, count);
      store_part<V>(grad_gates + 2 * H + j, d_n, count);
      store_part<V>(grad_u + j, d_reset, count);
      store_part<V>(grad_u + H + j, d_z, count);
      store_part<V>(grad_u + 2 * H + j, V(d_n * reset), count);
      store_part<V>(dh + j, V(d * z), count);
    });
    gates += 3 * H, grad_gates += 3 * H, grad_u += 3 * H, u_n += H, h_before += H, grad_h += H, dh += H;
  }
}

template <class T> void backward_group(const RnnBackwardArgs& args, const Group<T>& group) {
  const RnnSizes& s = args.sizes;
  const int64_t H = s.hidden, G = rnn_gates(s.cell) * H, rows = group.rows;
  const bool lstm = s.cell == RnnCell::lstm, gru = s.cell == RnnCell::gru;
  const Sequence<T> gates = group.sequence(args.gates, G), output = group.sequence(args.output, H);
  const Sequence<T> cells = group.sequence(args.cells, H), grad_gates = group.sequence(args.grad_gates, G);
  const Sequence<T> grad_output = group.sequence(args.grad_output, H), grad_u = group.sequence(args.grad_recurrent, G);
  const T* weight = static_cast<const T*>(args.workspace);
  T* dh = static_cast<T*>(args.grad_h0) + group.row * H;
  T* dc = lstm ? static_cast<T*>(args.grad_c0) + group.row * H : nullptr;
  for (int64_t j = 0; j < rows * H; ++j) dh[j] = 0;
  if (lstm)
    for (int64_t j = 0; j < rows * H; ++j) dc[j] = 0;
  for (int64_t i = s.steps - 1; i >= 0; --i) {
    const int64_t t = group.step(i), before = group.step(i - 1);
    if (lstm) {
      const T* c_before = i > 0 ? cells.at(before) : static_cast<const T*>(args.c0) + group.row * H;
      const T* grad_c = args.grad_cells ? group.sequence(args.grad_cells, H).at(t) : nullptr;
      lstm_cell_backward<T>(rows, H, gates.at(t), cells.at(t), c_before, grad_output.at(t), grad_c, dh, dc, grad_gates.at(t));
    } else if (gru) {
      const T* h_before = i > 0 ? output.at(before) : static_cast<const T*>(args.h0) + group.row * H;
      gru_cell_backward<T>(rows, H, gates.at(t), cells.at(t), h_before, grad_output.at(t), dh, grad_gates.at(t), grad_u.at(t));
    } else {
      plain_cell_backward<T>(s.cell, rows * H, output.at(t), grad_output.at(t), dh, grad_gates.at(t));
    }
    multiply<T>(rows, H, G, gru ? grad_u.at(t) : grad_gates.at(t), weight, dh, gru ? dh : nullptr, H);
  }
}

template <class T, class Args, class F>
void over_groups(const Args& args, int64_t n, int64_t k, GemmOperand<T> weight, const F& run) {
  pack_columns(weight, n, k, static_cast<T*>(args.workspace));
  parallel_for(args.sizes.batch, kGroupRows,
               [&](int64_t begin, int64_t end) { run(args, Group<T>{args.sizes, begin, end - begin}); });
}

template <class T> void forward(const RnnArgs& args) {
  const int64_t H = args.sizes.hidden;
  over_groups<T>(args, rnn_gates(args.sizes.cell) * H, H, strided(static_cast<const T*>(args.weight), H, 1), forward_group<T>);
}
template <class T> void backward(const RnnBackwardArgs& args) {
  const int64_t H = args.sizes.hidden;
  over_groups<T>(args, H, rnn_gates(args.sizes.cell) * H, strided(static_cast<const T*>(args.weight), 1, H), backward_group<T>);
}

}  // namespace

void rnn_forward(const Context&, const RnnArgs& args) {
  args.sizes.dtype == DType::f64 ? forward<double>(args) : forward<float>(args);
}
void rnn_backward(const Context&, const RnnBackwardArgs& args) {
  args.sizes.dtype == DType::f64 ? backward<double>(args) : backward<float>(args);
}

}  // namespace FASTDL_CPU_NAMESPACE
