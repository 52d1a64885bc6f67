// Attention's backward on the warps' tensor cores (attention/tensor_core.h). One kernel, run twice: its blocks own queries and
// go over the keys, for dQ; or they own keys and go over the queries of the heads of their group, for dK and dV. No two
// blocks add to one sum, and sums are added in the order of the tiles: the result is the same every time. The matrices of
// the side that is gone over come in two buffers, one copied while the other is multiplied.
#pragma once
#include "cuda/attention/pass.h"
#include "cuda/attention/tensor_core.h"
#include "cuda/device/launch.h"

namespace fastdl::cuda {

// --- tiles ---

// What 99 KiB of shared memory and 255 registers a thread hold. kModified: there is a mask or dropout.
template <class T, int Width, bool kModified> struct BackwardTile {
  static constexpr int down = sizeof(T) == 2 && Width <= (kModified ? 32 : 64) ? 2 : 1, warp_rows = 16 * down;
  static constexpr int rows = kAttentionWarps * warp_rows, across = sizeof(T) == 2 || Width <= 64 ? 32 : 16;
};

enum class Owns { queries, keys };

// What scores and the gradients of weights of a query are relative to.
struct QueryState {
  float log_sum_exp = INFINITY, delta = 0;
};

template <class T, int Width, class Tile> struct BackwardMmaShared {
  // [0]: queries or keys, [1]: gradients of the output or values
  OperandTile<T, Tile::rows, Width> down[2];
  OperandTile<T, Tile::across, Width> across[2][2];  // of each buffer
  QueryState states[2][Tile::across];
};

template <class T> struct BackwardMmaCall {
  AttentionMatrices<const T> query, key, value, grad_out;
  const float* log_sum_exp;
  const float* delta;
  float *grad_query, *grad_key, *grad_value;
  int64_t group;
  ScoreRule<T> rule;
  float scale;  // with log2(e)
  int qk_columns, v_columns;
  unsigned tiles;  // of a head: blocks are [head][tile]

  // Rows past the end, and rows that see nothing, have weights 2^(score - infinity) = 0.
  __device__ __forceinline__ QueryState state(int64_t head, int query) const {
    if (query >= rule.queries) return {};
    const int64_t at = head * rule.queries + query;
    const float lse = log_sum_exp[at];
    return {lse == -INFINITY ? INFINITY : lse, delta[at]};
  }
};

// --- device functions ---

template <int kDown, int kTiles> __device__ __forceinline__ void store_gradient(float* to, int first_row, int rows, int columns,
                                                                                const float (&sums)[kDown][kTiles][4],
                                                                                float factor, WarpPlace place) {
  each_pair(sums, place, [&](int row, int column, float x, float y) {
    float* const at = to + int64_t{first_row + row} * columns + column;
    if (first_row + row >= rows) return;
    if (column < columns) at[0] = x * factor;
    if (column + 1 < columns) at[1] = y * factor;
  });
}

// --- kernel ---

template <class T, int Width, Owns kOwns, bool kModified> __global__ void __launch_bounds__(kMmaAttentionThreads)
    attention_backward_tiles(const __grid_constant__ BackwardMmaCall<T> call) {
  using Tile = BackwardTile<T, Width, kModified>;
  using Shared = BackwardMmaShared<T, Width, Tile>;
  constexpr bool kKeys = kOwns == Owns::keys;
  constexpr int kDown = Tile::down, kAcross = Tile::across;
  FASTDL_SHARED(Shared, shared);
  const WarpPlace place(Tile::warp_rows);
  const ScoreRule<T>& rule = call.rule;
  const int tile = static_cast<int>(blockIdx.x % call.tiles);  // those with more to go over come first when causal
  const int first = (kKeys ? tile : static_cast<int>(call.tiles) - 1 - tile) * Tile::rows;
  const int64_t owner = blockIdx.x / call.tiles, key_head = kKeys ? owner : owner / call.group;
  const int64_t first_head = kKeys ? owner * call.group : owner;
  const int begin = kKeys && rule.causal ? first : 0, end = kKeys ? rule.queries : rule.visible_keys(first + Tile::rows);
  const int in_head = end > begin ? (end - begin + kAcross - 1) / kAcross : 0;
  const int steps = in_head * static_cast<int>(kKeys ? call.group : 1);

  const auto head_of = [&](int step) { return kKeys ? first_head + step / in_head : first_head; };
  const auto start_of = [&](int step) { return begin + (kKeys ? step % in_head : step) * kAcross; };
  const auto begin_step = [&](int step) {
    const int64_t head = head_of(step);
    const int start = start_of(step);
    if constexpr (kKeys) {
      begin_tile(shared.across[step % 2][0], call.query.select(head), start, rule.queries, call.qk_columns);
      begin_tile(shared.across[step % 2][1], call.grad_out.select(head), start, rule.queries, call.v_columns);
    } else {
      begin_tile(shared.across[step % 2][0], call.key.select(key_head), start, rule.keys, call.qk_columns);
      begin_tile(shared.across[step % 2][1], call.value.select(key_head), start, rule.keys, call.v_columns);
    }
    async_copy_commit();
  };
  const int thread = static_cast<int>(threadIdx.x);
  const bool holds_state = kKeys && thread < kAcross;
  QueryState next_state, states[kDown][2];  // of the next step's query `thread`; of the rows
  if (steps > 0) {
    if constexpr (kKeys) {
      begin_tile(shared.down[0], call.key.select(key_head), first, rule.keys, call.qk_columns);
      begin_tile(shared.down[1], call.value.select(key_head), first, rule.keys, call.v_columns);
      if (holds_state) shared.states[0][thread] = call.state(first_head, begin + thread);
    } else {
      begin_tile(shared.down[0], call.query.select(first_head), first, rule.queries, call.qk_columns);
      begin_tile(shared.down[1], call.grad_out.select(first_head), first, rule.queries, call.v_columns);
#pragma unroll
      for (int i = 0; i < kDown; ++i)
#pragma unroll
        for (int h = 0; h < 2; ++h) states[i][h] = call.state(first_head, first + place.row_of(i, 2 * h));
    }
    begin_step(0);
  }

  WarpSums<kDown, Width> grad;                       // of queries or keys
  WarpSums<kKeys ? kDown : 1, kKeys ? Width : 8> grad_value;
  clear(grad);
  clear(grad_value);
  for (int step = 0; step < steps; ++step) {
    async_copy_wait<0>();
    __syncthreads();  // this buffer is there, and the other one is read
    if (step + 1 < steps) {
      begin_step(step + 1);
      if (holds_state) next_state = call.state(head_of(step + 1), start_of(step + 1) + thread);
    }
    const auto& across = shared.across[step % 2];
    WarpSums<kDown, kAcross> p, g;  // weights; gradients of the weights, then of the scores
    multiply_sides(p, shared.down[0], across[0], place.row);
    multiply_sides(g, shared.down[1], across[1], place.row);

    const int64_t head = head_of(step);
    const int start = start_of(step);
    const int64_t mask_start = kModified ? rule.mask_start(head) : 0;
    const int warp_first = first + place.row;
    const bool masked =
        kKeys ? !rule.all_visible(start, warp_first, Tile::warp_rows) : !rule.all_visible(warp_first, start, kAcross);
#pragma unroll
    for (int i = 0; i < kDown; ++i)
#pragma unroll
      for (int j = 0; j < kAcross / 8; ++j) {
        float factors[2][4];
        if constexpr (kModified)
          if (rule.drops) {
            if constexpr (kKeys) dropout_factors_of_keys(factors[0], rule, head, start + 8 * j, warp_first + 16 * i, place);
            else if (j % 2 == 0) dropout_factors_of_queries(factors, rule, head, warp_first + 16 * i, start + 8 * j, place);
          }
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int down = first + place.row_of(i, e), over = place.column_of(j, e);
          const QueryState state = kKeys ? shared.states[step % 2][over] : states[i][e / 2];
          float score = p[i][j][e] * call.scale;
          if (masked) {
            const int q = kKeys ? start + over : down, k = kKeys ? down : start + over;
            if constexpr (kModified) score = rule.masked(score, mask_start, q, k);
            else score = rule.outside(q, k) ? -INFINITY : score;
          }
          const float weight = exp2_approximate(score - state.log_sum_exp);
          p[i][j][e] = weight;
          if constexpr (kModified)
            if (rule.drops) {
              const float factor = factors[kKeys ? 0 : j % 2][e];
              g[i][j][e] *= factor;
              p[i][j][e] *= factor;
            }
          g[i][j][e] = weight * (g[i][j][e] - state.delta);
        }
      }
    if constexpr (kKeys) multiply_weights<T, kDown, kAcross, Width>(grad_value, p, across[1]);
    multiply_weights<T, kDown, kAcross, Width>(grad, g, across[0]);
    if (holds_state) shared.states[(step + 1) % 2][thread] = next_state;
  }

  const int rows = kKeys ? rule.keys : rule.queries;
  const float factor = call.scale * static_cast<float>(kLn2);
  store_gradient((kKeys ? call.grad_key : call.grad_query) + owner * rows * call.qk_columns, first, rows, call.qk_columns, grad,
                 factor, place);
  if constexpr (kKeys)
    store_gradient(call.grad_value + owner * rows * call.v_columns, first, rows, call.v_columns, grad_value, 1.0f, place);
}

// --- launcher ---

template <class T> void attention_backward_on_tensor_cores(const Context& context, const AttentionBackwardArgs& args) {
  const AttentionArgs& a = args.forward;
  BackwardMmaCall<T> call{AttentionMatrices<const T>(a.query),
                          AttentionMatrices<const T>(a.key),
                          AttentionMatrices<const T>(a.value),
                          AttentionMatrices<const T>(args.grad_out),
                          static_cast<const float*>(a.log_sum_exp),
                          static_cast<const float*>(args.row_products),
                          static_cast<float*>(args.grad_query_parts),
                          static_cast<float*>(args.grad_key),
                          static_cast<float*>(args.grad_value),
                          a.group,
                          ScoreRule<T>(a),
                          static_cast<float>(a.scale * kLog2E),
                          static_cast<int>(a.query.shape[a.query.ndim - 1]),
                          static_cast<int>(a.value.shape[a.value.ndim - 1]),
                          0};
  for_mma_width(call.qk_columns > call.v_columns ? call.qk_columns : call.v_columns, [&]<int Width>() {
    const auto run = [&]<Owns kOwns, bool kModified>(int64_t heads, int length) {
      using Tile = BackwardTile<T, Width, kModified>;
      call.tiles = static_cast<unsigned>((length + Tile::rows - 1) / Tile::rows);
      launch(attention_backward_tiles<T, Width, kOwns, kModified>,
             {static_cast<unsigned>(heads) * call.tiles, kMmaAttentionThreads, sizeof(BackwardMmaShared<T, Width, Tile>)},
             context, call);
    };
    const auto run_both = [&]<bool kModified>() {
      run.template operator()<Owns::queries, kModified>(attention_heads(a.query), call.rule.queries);
      run.template operator()<Owns::keys, kModified>(attention_heads(a.key), call.rule.keys);
    };
    call.rule.modifies() ? run_both.template operator()<true>() : run_both.template operator()<false>();
  });
}

}  // namespace fastdl::cuda
