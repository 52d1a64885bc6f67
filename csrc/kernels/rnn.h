// Recurrent layers: one direction of one layer over all time steps. a_t = p_t + W h_(t-1), where p_t, the input's
// projection with its biases, is computed beforehand for all steps in one product.
//
//   tanh, relu  h_t = f(a_t)
//   lstm        i, f, g, o = s(a_i), s(a_f), tanh(a_g), s(a_o); c_t = f c_(t-1) + i g; h_t = o tanh(c_t)
//   gru         u = W h_(t-1) + b; r, z = s(p_r + u_r), s(p_z + u_z); n = tanh(p_n + r u_n); h_t = (1 - z) n + z h_(t-1)
#pragma once
#include "core/dtype.h"

namespace fastdl {

enum class RnnCell : int32_t { tanh, relu, lstm, gru };
constexpr int64_t rnn_gates(RnnCell cell) { return cell == RnnCell::lstm ? 4 : cell == RnnCell::gru ? 3 : 1; }

// T steps, batch B, hidden size H, G gates. Everything contiguous, float32 or float64.
struct RnnSizes {
  RnnCell cell;
  DType dtype;
  int64_t steps, batch, hidden;
  bool reverse;  // from the last step to the first
};

// Elements of the workspace that holds W packed, for every instruction set.
constexpr int64_t rnn_workspace(RnnCell cell, int64_t hidden) { return (rnn_gates(cell) * hidden + 64) * (hidden + 64); }

struct RnnArgs {
  RnnSizes sizes;
  const void* weight;     // (G H, H)
  const void* bias;       // (G H), of u: gru only, may be null
  const void* h0;         // (B, H)
  const void* c0;         // (B, H): lstm
  void* gates;            // (T, B, G H): p on entry; on return i, f, g, o (lstm), r, z, n (gru), p (tanh, relu)
  void* output;           // (T, B, H): h
  void* cells;            // (T, B, H): c (lstm), u_n (gru)
  void* recurrent;        // (B, G H): workspace: gru
  void* workspace;        // rnn_workspace elements
};

// The gradient of W is that of a (of u) times h_(t-1), one product over all steps; the op adds it.
struct RnnBackwardArgs {
  RnnSizes sizes;
  const void* weight;
  const void* h0;
  const void* c0;
  const void* gates;           // of the forward
  const void* output;
  const void* cells;
  const void* grad_output;     // (T, B, H)
  const void* grad_cells;      // (T, B, H): lstm, may be null
  void* grad_gates;            // (T, B, G H): of p
  void* grad_recurrent;        // (T, B, G H): of u: gru
  void* grad_h0;               // (B, H)
  void* grad_c0;               // (B, H): lstm
  void* workspace;
};

}  // namespace fastdl
