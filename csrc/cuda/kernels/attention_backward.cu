// Gradient of attention. The weights are computed again, tile by tile, from the forward's log-sum-exp (Dao et al., 2022):
//   P = 2^(Q K^T - lse)   dP = dO V^T   dS = P (dP - rowsum(dO O))   dV = P^T dO   dK = dS^T Q   dQ = dS K
// Three kernels: the row sums, a warp a row; dQ, whose blocks own 64 queries of a head and go over its keys; dK and dV,
// whose blocks own 64 keys and go over the queries of the heads of their group. Q K^T and dO V^T are computed in both,
// so that no two blocks add to one sum: the result is the same every time, and no parts of dQ go through memory.
// Wider matrices than a tile go through it in slices, and a block then owns a slice of the gradient's columns.
// Narrow 16-bit matrices, and float32 where TF32 is allowed, take the tensor cores (attention/backward.h) instead.
// Flops 3.5 times the forward's; bytes: Q, dO (K, V) once, K, V (Q, dO) once for each block; dQ, dK, dV written once.
#include "cuda/attention/pass.h"
#include "cuda/attention/simt.h"

namespace fastdl::cuda {
namespace {

constexpr int kWarps = kAttentionThreads / 32;

template <class C, int Width> struct BackwardShared {
  SharedTile<C, Width> query, key, grad_out, value;
  SharedTile<C, kTile> weights;
};

template <class T, int Width> struct BackwardCall {
  using C = Compute<T>;
  AttentionMatrices<const T> query, key, value, grad_out;
  const C* log_sum_exp;
  const C* delta;
  C *grad_query, *grad_key, *grad_value;
  int64_t group;
  ScoreRule<T> rule;
  C scale;  // with log2(e)
  int qk_columns, v_columns;
  unsigned tiles, slices;  // a head: blocks are [head][slice of the gradient's columns][tile]
};

// --- kernels ---

// delta = rowsum(dO O)
template <class T> __global__ void __launch_bounds__(kAttentionThreads)
    row_products(const __grid_constant__ AttentionMatrices<const T> a, const __grid_constant__ AttentionMatrices<const T> b,
                 Compute<T>* __restrict__ delta, int64_t heads, int rows, int columns) {
  using C = Compute<T>;
  const int64_t at = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  if (at >= heads * rows) return;
  const int row = static_cast<int>(at % rows);
  const AttentionMatrix<const T> x = a.select(at / rows), y = b.select(at / rows);
  C sum = 0;
  for (int c = threadIdx.x % 32; c < columns; c += 32) sum += convert<C>(x.at(row, c)) * convert<C>(y.at(row, c));
  sum = warp_reduce(sum, Add{});
  if (threadIdx.x % 32 == 0) delta[at] = sum;
}

// Of a query: what its scores and the gradients of its weights are relative to.
template <class C> struct QueryState {
  C log_sum_exp, delta;
};
template <class T, int Width>
__device__ __forceinline__ QueryState<Compute<T>> query_state(const BackwardCall<T, Width>& call, int64_t head, int query) {
  using C = Compute<T>;
  // Rows past the end, and rows that see nothing, have weights 2^(score - infinity) = 0.
  if (query >= call.rule.queries) return {C(INFINITY), C(0)};
  const int64_t at = head * call.rule.queries + query;
  const C lse = call.log_sum_exp[at];
  return {lse == C(-INFINITY) ? C(INFINITY) : lse, call.delta[at]};
}

template <class T, int Width> __global__ void __launch_bounds__(kAttentionThreads)
    attention_grad_query(const __grid_constant__ BackwardCall<T, Width> call) {
  using C = Compute<T>;
  using Shared = BackwardShared<C, Width>;
  FASTDL_SHARED(Shared, shared);
  const ThreadPlace place;
  const int first_query = static_cast<int>(call.tiles - 1 - blockIdx.x % call.tiles) * kTile;
  const int first_column = static_cast<int>(blockIdx.x / call.tiles % call.slices) * Width;
  const int64_t head = blockIdx.x / call.tiles / call.slices, key_head = head / call.group;
  const ScoreRule<T>& rule = call.rule;
  const AttentionMatrix<const T> query = call.query.select(head), grad_out = call.grad_out.select(head);
  const AttentionMatrix<const T> key = call.key.select(key_head), value = call.value.select(key_head);
  const int64_t mask_start = rule.mask_start(head);
  QueryState<C> states[kThreadRows];
#pragma unroll
  for (int i = 0; i < kThreadRows; ++i) states[i] = query_state(call, head, first_query + place.row(i));

  ThreadSums<C, Width> grad;
  const int visible = rule.visible_keys(first_query + kTile);
  for (int s = 0; s < visible; s += kTile) {
    ThreadScores<C> p, g;
    multiply_matrices(p, shared.query, shared.key, query, first_query, rule.queries, call.scale, key, s, rule.keys, C(1),
                      call.qk_columns, s > 0, place);
    multiply_matrices(g, shared.grad_out, shared.value, grad_out, first_query, rule.queries, C(1), value, s, rule.keys, C(1),
                      call.v_columns, s > 0, place);
    if (call.qk_columns > Width) {
      __syncthreads();
      load_tile<Side::across>(shared.key, key, s, rule.keys, first_column, call.qk_columns);
      __syncthreads();
    }
    const bool masked = !rule.all_visible(first_query, s, kTile);
#pragma unroll
    for (int i = 0; i < kThreadRows; ++i) {
      const int q = first_query + place.row(i);
      C factors[kThreadColumns];
      if (rule.drops) rule.dropout_factors(factors, head, q, s + place.column(0));
#pragma unroll
      for (int j = 0; j < kThreadColumns; ++j) {
        if (masked) p[i][j] = rule.masked(p[i][j], mask_start, q, s + place.column(j));
        if (rule.drops) g[i][j] *= factors[j];
        g[i][j] = exp2(p[i][j] - states[i].log_sum_exp) * (g[i][j] - states[i].delta);
      }
    }
    store_weights(shared.weights, g, place);
    grad.multiply_weights(shared.weights, shared.key, place);
  }
  const C factor = call.scale * C(kLn2);
  C* const to = call.grad_query + head * rule.queries * call.qk_columns;
  grad.each(place, [&](int row, int column, C x) {
    const int64_t q = first_query + row;
    if (q < rule.queries && first_column + column < call.qk_columns)
      to[q * call.qk_columns + first_column + column] = x * factor;
  });
}

template <class T, int Width> __global__ void __launch_bounds__(kAttentionThreads)
    attention_grad_key_value(const __grid_constant__ BackwardCall<T, Width> call) {
  using C = Compute<T>;
  using Shared = BackwardShared<C, Width>;
  FASTDL_SHARED(Shared, shared);
  const ThreadPlace place;
  const int first_key = static_cast<int>(blockIdx.x % call.tiles) * kTile;
  const int first_column = static_cast<int>(blockIdx.x / call.tiles % call.slices) * Width;
  const int64_t key_head = blockIdx.x / call.tiles / call.slices;
  const ScoreRule<T>& rule = call.rule;
  const AttentionMatrix<const T> key = call.key.select(key_head), value = call.value.select(key_head);

  ThreadSums<C, Width> grad_key, grad_value;
  bool loaded = false;
  for (int64_t head = key_head * call.group; head < (key_head + 1) * call.group; ++head) {
    const AttentionMatrix<const T> query = call.query.select(head), grad_out = call.grad_out.select(head);
    const int64_t mask_start = rule.mask_start(head);
    for (int t = rule.causal ? first_key : 0; t < rule.queries; t += kTile, loaded = true) {
      ThreadScores<C> p, g;  // of keys down and queries across
      multiply_matrices(p, shared.key, shared.query, key, first_key, rule.keys, C(1), query, t, rule.queries, call.scale,
                        call.qk_columns, loaded, place);
      multiply_matrices(g, shared.value, shared.grad_out, value, first_key, rule.keys, C(1), grad_out, t, rule.queries, C(1),
                        call.v_columns, loaded, place);
      if (call.qk_columns > Width || call.v_columns > Width) {
        __syncthreads();
        load_tile<Side::across>(shared.query, query, t, rule.queries, first_column, call.qk_columns, call.scale);
        load_tile<Side::across>(shared.grad_out, grad_out, t, rule.queries, first_column, call.v_columns);
        __syncthreads();
      }
      const bool masked = !rule.all_visible(t, first_key, kTile);
#pragma unroll
      for (int j = 0; j < kThreadColumns; ++j) {
        const int q = t + place.column(j);
        const QueryState<C> state = query_state(call, head, q);
#pragma unroll
        for (int four = 0; four < kThreadRows; four += 4) {
          C factors[4];
          if (rule.drops) rule.dropout_factors(factors, head, q, first_key + place.row(four));
#pragma unroll
          for (int i = four; i < four + 4; ++i) {
            if (masked) p[i][j] = rule.masked(p[i][j], mask_start, q, first_key + place.row(i));
            const C weight = exp2(p[i][j] - state.log_sum_exp);
            if (rule.drops) g[i][j] *= factors[i - four];
            g[i][j] = weight * (g[i][j] - state.delta);
            p[i][j] = rule.drops ? weight * factors[i - four] : weight;
          }
        }
      }
      store_weights(shared.weights, p, place);
      grad_value.multiply_weights(shared.weights, shared.grad_out, place);
      store_weights(shared.weights, g, place);
      grad_key.multiply_weights(shared.weights, shared.query, place);
    }
  }
  const int64_t first_row = key_head * rule.keys + first_key;
  grad_key.each(place, [&](int row, int column, C x) {  // the queries carried scale * log2(e)
    if (first_key + row < rule.keys && first_column + column < call.qk_columns)
      call.grad_key[(first_row + row) * call.qk_columns + first_column + column] = x * C(kLn2);
  });
  grad_value.each(place, [&](int row, int column, C x) {
    if (first_key + row < rule.keys && first_column + column < call.v_columns)
      call.grad_value[(first_row + row) * call.v_columns + first_column + column] = x;
  });
}

}  // namespace

// --- launchers ---

void attention_backward(const Context& context, const AttentionBackwardArgs& args) {
  const AttentionArgs& a = args.forward;
  const int64_t qk_columns = a.query.shape[a.query.ndim - 1], v_columns = a.value.shape[a.value.ndim - 1];
  const int64_t widest = qk_columns > v_columns ? qk_columns : v_columns;
  const int64_t heads = attention_heads(a.query), key_heads = attention_heads(a.key);
  const int queries = static_cast<int>(a.query.shape[a.query.ndim - 2]);
  if (heads * queries > 0)
    for_float(a.query.dtype, [&]<class T>() {
      launch(row_products<T>, {blocks_for(heads * queries, kWarps), kAttentionThreads}, context,
             AttentionMatrices<const T>(args.grad_out), AttentionMatrices<const T>(a.out),
             static_cast<Compute<T>*>(args.row_products), heads, queries, static_cast<int>(v_columns));
    });
  if (takes_tensor_cores(a))
    return a.query.dtype == DType::f32 ? attention_backward_tf32(context, args) : attention_backward_mma(context, args);
  for_attention_width(a.query.dtype, widest, [&]<class T, int Width>() {
    using C = Compute<T>;
    BackwardCall<T, Width> call{AttentionMatrices<const T>(a.query),
                                AttentionMatrices<const T>(a.key),
                                AttentionMatrices<const T>(a.value),
                                AttentionMatrices<const T>(args.grad_out),
                                static_cast<const C*>(a.log_sum_exp),
                                static_cast<const C*>(args.row_products),
                                static_cast<C*>(args.grad_query_parts),
                                static_cast<C*>(args.grad_key),
                                static_cast<C*>(args.grad_value),
                                a.group,
                                ScoreRule<T>(a),
                                static_cast<C>(a.scale * kLog2E),
                                static_cast<int>(qk_columns),
                                static_cast<int>(v_columns),
                                0,
                                0};
    const auto run = [&](auto kernel, int64_t heads_of_blocks, int length, int64_t columns) {
      call.tiles = static_cast<unsigned>((length + kTile - 1) / kTile);
      call.slices = blocks_for(columns, Width);
      launch(kernel,
             {static_cast<unsigned>(heads_of_blocks) * call.slices * call.tiles, kAttentionThreads,
              sizeof(BackwardShared<C, Width>)},
             context, call);
    };
    run(attention_grad_query<T, Width>, heads, call.rule.queries, qk_columns);
    run(attention_grad_key_value<T, Width>, key_heads, call.rule.keys, widest);
  });
}

}  // namespace fastdl::cuda
