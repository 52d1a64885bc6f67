// Recurrent layers, one launch for all time steps (formulas in kernels/rnn.h). The hidden units are dealt out to blocks that
// stay for the whole sequence; each step multiplies the last state with the block's rows of W through tiles in shared
// memory, applies the cell to its own units, writes them, and meets the other blocks at a barrier of the grid. The backward
// runs the other way: a block makes the gate gradients of its units, meets the others, and multiplies all gate gradients
// with its columns of W. Every sum runs in one order.
// 2 T B G H^2 flops; bytes: W from the second-level cache in every step, gates and states once.
#include "cuda/device/grid.h"
#include "cuda/device/launch.h"
#include "cuda/device/math.h"
#include "cuda/device/reduce.h"
#include "kernels/rnn.h"

namespace fastdl::cuda {
namespace {

// --- device functions ---

constexpr int kUnits = 8, kBatch = 32, kDepth = 32, kThreads = kUnits * kBatch;

template <class T> struct Tiles {
  T state[kBatch][kDepth + 1];       // + 1: lanes that differ in the row read different banks
  T weight[4 * kUnits][kDepth + 1];
};

// sums[r] += sum over k of state(b, k) * weight(r * kUnits + u, k) for this thread's row b and unit u of the tiles.
template <class T, int Rows, class State, class Weight>
__device__ void multiply(Tiles<T>& tiles, int64_t depth, const State& state, const Weight& weight, T (&sums)[Rows]) {
  const int b = threadIdx.x % kBatch, u = threadIdx.x / kBatch;
  for (int64_t start = 0; start < depth; start += kDepth) {
    for (int i = threadIdx.x; i < kBatch * kDepth; i += kThreads)
      tiles.state[i / kDepth][i % kDepth] = start + i % kDepth < depth ? state(i / kDepth, start + i % kDepth) : T(0);
    for (int i = threadIdx.x; i < Rows * kUnits * kDepth; i += kThreads)
      tiles.weight[i / kDepth][i % kDepth] = start + i % kDepth < depth ? weight(i / kDepth, start + i % kDepth) : T(0);
    __syncthreads();
#pragma unroll 8
    for (int k = 0; k < kDepth; ++k)
#pragma unroll
      for (int r = 0; r < Rows; ++r) sums[r] += tiles.state[b][k] * tiles.weight[r * kUnits + u][k];
    __syncthreads();
  }
}

// f(row, unit, inside, first row, first unit) for this thread's places among the block's tiles; all threads come together.
template <class F> __device__ void each_place(const RnnSizes& s, const F& f) {
  for (int64_t unit = int64_t{blockIdx.x} * kUnits; unit < s.hidden; unit += int64_t{gridDim.x} * kUnits)
    for (int64_t row = 0; row < s.batch; row += kBatch) {
      const int64_t b = row + threadIdx.x % kBatch, j = unit + threadIdx.x / kBatch;
      f(b, j, b < s.batch && j < s.hidden, row, unit);
    }
}

constexpr int gates_of(RnnCell cell) { return static_cast<int>(rnn_gates(cell)); }

// --- kernels ---

template <class T, RnnCell Cell> __global__ void rnn_steps(RnnArgs a, unsigned* arrivals) {
  constexpr int kGates = gates_of(Cell);
  FASTDL_SHARED(Tiles<T>, tiles);
  const RnnSizes& s = a.sizes;
  const int64_t H = s.hidden, G = kGates * H;
  const T* const weight = static_cast<const T*>(a.weight);
  for (int64_t i = 0; i < s.steps; ++i) {
    const int64_t t = s.reverse ? s.steps - 1 - i : i, before = s.reverse ? t + 1 : t - 1;
    const T* const h = i == 0 ? static_cast<const T*>(a.h0) : static_cast<const T*>(a.output) + before * s.batch * H;
    each_place(s, [&](int64_t b, int64_t j, bool inside, int64_t row, int64_t unit) {
      T u[kGates] = {};
      multiply<T, kGates>(
          tiles, H, [&](int64_t r, int64_t k) { return row + r < s.batch ? load_shared_by_grid(h + (row + r) * H + k) : T(0); },
          [&](int64_t r, int64_t k) {
            const int64_t of = unit + r % kUnits;
            return of < H ? weight[(r / kUnits * H + of) * H + k] : T(0);
          },
          u);
      if (!inside) return;
      T* const gates = static_cast<T*>(a.gates) + (t * s.batch + b) * G + j;
      T& out = static_cast<T*>(a.output)[(t * s.batch + b) * H + j];
      if constexpr (Cell == RnnCell::tanh) {
        out = tanh(gates[0] + u[0]);
      } else if constexpr (Cell == RnnCell::relu) {
        out = Max{}(gates[0] + u[0], T(0));
      } else if constexpr (Cell == RnnCell::lstm) {
        const T* const c = i == 0 ? static_cast<const T*>(a.c0) : static_cast<const T*>(a.cells) + before * s.batch * H;
        const T in = sigmoid(gates[0] + u[0]), forget = sigmoid(gates[H] + u[1]);
        const T g = tanh(gates[2 * H] + u[2]), o = sigmoid(gates[3 * H] + u[3]);
        const T cell = forget * c[b * H + j] + in * g;
        gates[0] = in, gates[H] = forget, gates[2 * H] = g, gates[3 * H] = o;
        static_cast<T*>(a.cells)[(t * s.batch + b) * H + j] = cell;
        out = o * tanh(cell);
      } else {
        if (const T* const bias = static_cast<const T*>(a.bias))
          for (int g = 0; g < 3; ++g) u[g] += bias[g * H + j];
        const T reset = sigmoid(gates[0] + u[0]), z = sigmoid(gates[H] + u[1]), n = tanh(gates[2 * H] + reset * u[2]);
        gates[0] = reset, gates[H] = z, gates[2 * H] = n;
        static_cast<T*>(a.cells)[(t * s.batch + b) * H + j] = u[2];
        out = n + z * (load_shared_by_grid(h + b * H + j) - n);
      }
    });
    if (i + 1 < s.steps) grid_barrier(arrivals, static_cast<unsigned>(i + 1));
  }
}

// grad_h0 and grad_c0 hold the gradients of the state between steps; a block touches its own units of them alone.
template <class T, RnnCell Cell> __global__ void rnn_steps_backward(RnnBackwardArgs a, unsigned* arrivals) {
  constexpr int kGates = gates_of(Cell);
  FASTDL_SHARED(Tiles<T>, tiles);
  const RnnSizes& s = a.sizes;
  const int64_t H = s.hidden, G = kGates * H;
  const T* const weight = static_cast<const T*>(a.weight);
  T* const dh = static_cast<T*>(a.grad_h0);
  T* const dc = static_cast<T*>(a.grad_c0);
  for (int64_t i = s.steps - 1; i >= 0; --i) {
    const int64_t t = s.reverse ? s.steps - 1 - i : i, before = s.reverse ? t + 1 : t - 1;
    const bool last = i == s.steps - 1;  // nothing has arrived yet
    each_place(s, [&](int64_t b, int64_t j, bool inside, int64_t, int64_t) {
      if (!inside) return;
      const int64_t at = b * H + j, now = (t * s.batch + b) * H + j, gate = (t * s.batch + b) * G + j;
      const T* const gates = static_cast<const T*>(a.gates) + gate;
      T* const grad = static_cast<T*>(a.grad_gates) + gate;
      const T d = static_cast<const T*>(a.grad_output)[now] + (last ? T(0) : dh[at]);
      if constexpr (Cell == RnnCell::tanh || Cell == RnnCell::relu) {
        const T y = static_cast<const T*>(a.output)[now];
        grad[0] = Cell == RnnCell::tanh ? d * (1 - y * y) : y > 0 ? d : T(0);
        dh[at] = 0;
      } else if constexpr (Cell == RnnCell::lstm) {
        const T in = gates[0], forget = gates[H], g = gates[2 * H], o = gates[3 * H];
        const T tanh_c = tanh(static_cast<const T*>(a.cells)[now]);
        const T c_before =
            i == 0 ? static_cast<const T*>(a.c0)[at] : static_cast<const T*>(a.cells)[(before * s.batch + b) * H + j];
        T d_cell = (last ? T(0) : dc[at]) + d * o * (1 - tanh_c * tanh_c);
        if (a.grad_cells) d_cell += static_cast<const T*>(a.grad_cells)[now];
        grad[0] = d_cell * g * in * (1 - in);
        grad[H] = d_cell * c_before * forget * (1 - forget);
        grad[2 * H] = d_cell * in * (1 - g * g);
        grad[3 * H] = d * tanh_c * o * (1 - o);
        dc[at] = d_cell * forget;
        dh[at] = 0;
      } else {
        const T reset = gates[0], z = gates[H], n = gates[2 * H], u_n = static_cast<const T*>(a.cells)[now];
        const T h_before =
            i == 0 ? static_cast<const T*>(a.h0)[at] : static_cast<const T*>(a.output)[(before * s.batch + b) * H + j];
        T* const grad_u = static_cast<T*>(a.grad_recurrent) + gate;
        const T d_n = d * (1 - z) * (1 - n * n), d_z = d * (h_before - n) * z * (1 - z),
                d_reset = d_n * u_n * reset * (1 - reset);
        grad[0] = d_reset, grad[H] = d_z, grad[2 * H] = d_n;
        grad_u[0] = d_reset, grad_u[H] = d_z, grad_u[2 * H] = d_n * reset;
        dh[at] = d * z;
      }
    });
    grid_barrier(arrivals, static_cast<unsigned>(s.steps - i));
    const T* const grads = static_cast<const T*>(Cell == RnnCell::gru ? a.grad_recurrent : a.grad_gates) + t * s.batch * G;
    each_place(s, [&](int64_t b, int64_t j, bool inside, int64_t row, int64_t unit) {
      T sum[1] = {};
      multiply<T, 1>(
          tiles, G,
          [&](int64_t r, int64_t k) { return row + r < s.batch ? load_shared_by_grid(grads + (row + r) * G + k) : T(0); },
          [&](int64_t r, int64_t k) { return unit + r < H ? weight[k * H + unit + r] : T(0); }, sum);
      if (inside) dh[b * H + j] += sum[0];
    });
  }
}

__global__ void clear_counter(unsigned* arrivals) { *arrivals = 0; }

// f.template operator()<T, Cell>()
template <class F> void for_cell(const RnnSizes& s, const F& f) {
  const auto typed = [&]<class T>() {
    switch (s.cell) {
      case RnnCell::tanh: return f.template operator()<T, RnnCell::tanh>();
      case RnnCell::relu: return f.template operator()<T, RnnCell::relu>();
      case RnnCell::lstm: return f.template operator()<T, RnnCell::lstm>();
      case RnnCell::gru: return f.template operator()<T, RnnCell::gru>();
    }
  };
  s.dtype == DType::f64 ? typed.template operator()<double>() : typed.template operator()<float>();
}

template <class T> LaunchShape shape_for(const Context& context, const RnnSizes& s) {
  return {blocks_for(s.hidden, kUnits, multiprocessors(context)), kThreads, sizeof(Tiles<T>), 1, true};
}

}  // namespace

// --- launchers: the counter of the grid's barriers stands in the workspace ---

void rnn_forward(const Context& context, const RnnArgs& a) {
  unsigned* const arrivals = static_cast<unsigned*>(a.workspace);
  launch(clear_counter, {1, 1}, context, arrivals);
  for_cell(a.sizes,
           [&]<class T, RnnCell Cell>() { launch(rnn_steps<T, Cell>, shape_for<T>(context, a.sizes), context, a, arrivals); });
}

void rnn_backward(const Context& context, const RnnBackwardArgs& a) {
  unsigned* const arrivals = static_cast<unsigned*>(a.workspace);
  launch(clear_counter, {1, 1}, context, arrivals);
  for_cell(a.sizes, [&]<class T, RnnCell Cell>() {
    launch(rnn_steps_backward<T, Cell>, shape_for<T>(context, a.sizes), context, a, arrivals);
  });
}

}  // namespace fastdl::cuda
