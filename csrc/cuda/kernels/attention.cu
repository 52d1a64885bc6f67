// Attention with the softmax computed online (Dao et al., "FlashAttention", 2022; Milakov and Gimelshein, 2018): the
// T x S weights exist only as tiles. A block owns 64 queries of one head and a slice of the output's columns, and goes
// over the keys in tiles of 64; the output's sums, the running maximum and the running sum of a row stay in registers.
// Causal: tiles above the diagonal are skipped, and blocks with more keys come first.
// Wider matrices than a tile go through it in slices; the scores are then computed once for each slice of the output.
// Flops 2 T S (D + E) a head, half of it when causal; bytes T (D + E) once, S (D + E) once for each block of queries.
// Scores are kept in base 2 (log2(e) is folded into the scale).
// Narrow 16-bit matrices, and float32 where TF32 is allowed, take the tensor cores (attention/forward.h) instead.
#include "cuda/attention/pass.h"
#include "cuda/attention/simt.h"

namespace fastdl::cuda {
namespace {

template <class C, int Width> struct ForwardShared {
  SharedTile<C, Width> query, across;  // across: keys, then values
  SharedTile<C, kTile> weights;
};

// --- kernels ---

template <class T, int Width> struct ForwardCall {
  AttentionMatrices<const T> query, key, value;
  AttentionMatrices<T> out;
  Compute<T>* log_sum_exp;
  int64_t group;
  ScoreRule<T> rule;
  Compute<T> scale;  // with log2(e)
  int qk_columns, v_columns;
  unsigned tiles, slices;  // a head: blocks are [head][slice of the output's columns][tile of queries]
};

template <class T, int Width> __global__ void __launch_bounds__(kAttentionThreads)
    attention_forward_tiles(const __grid_constant__ ForwardCall<T, Width> call) {
  using C = Compute<T>;
  using Shared = ForwardShared<C, Width>;
  FASTDL_SHARED(Shared, shared);
  const ThreadPlace place;
  const int first_query = static_cast<int>(call.tiles - 1 - blockIdx.x % call.tiles) * kTile;
  const unsigned slice = blockIdx.x / call.tiles % call.slices;
  const int64_t head = blockIdx.x / call.tiles / call.slices;
  const int first_column = static_cast<int>(slice) * Width;
  const AttentionMatrix<const T> query = call.query.select(head), key = call.key.select(head / call.group);
  const AttentionMatrix<const T> value = call.value.select(head / call.group);
  const ScoreRule<T>& rule = call.rule;
  const int64_t mask_start = rule.mask_start(head);

  C maximum[kThreadRows], sum[kThreadRows];
#pragma unroll
  for (int i = 0; i < kThreadRows; ++i) maximum[i] = C(-INFINITY), sum[i] = 0;
  ThreadSums<C, Width> out;
  const int visible = rule.visible_keys(first_query + kTile);
  for (int s = 0; s < visible; s += kTile) {
    ThreadScores<C> p;
    multiply_matrices(p, shared.query, shared.across, query, first_query, rule.queries, call.scale, key, s, rule.keys, C(1),
                      call.qk_columns, s > 0, place);
    __syncthreads();
    load_tile<Side::across>(shared.across, value, s, rule.keys, first_column, call.v_columns);
    const bool masked = !rule.all_visible(first_query, s, kTile);
#pragma unroll
    for (int i = 0; i < kThreadRows; ++i) {
      const int q = first_query + place.row(i);
      C top = maximum[i];
#pragma unroll
      for (int j = 0; j < kThreadColumns; ++j) {
        if (masked) p[i][j] = rule.masked(p[i][j], mask_start, q, s + place.column(j));
        top = Max{}(top, p[i][j]);
      }
      top = warp_reduce<kAcross>(top, Max{});
      // A row that has seen only -infinity: keep the differences below from being NaN.
      const C pivot = top == C(-INFINITY) ? C(0) : top;
      const C rescale = exp2(maximum[i] - pivot);
      maximum[i] = top;
      sum[i] *= rescale;
#pragma unroll
      for (int j = 0; j < kThreadColumns; ++j) {
        p[i][j] = exp2(p[i][j] - pivot);
        sum[i] += p[i][j];
      }
#pragma unroll
      for (C& o : out.v[i]) o *= rescale;
      if (rule.drops) {
        C factors[kThreadColumns];
        rule.dropout_factors(factors, head, q, s + place.column(0));
#pragma unroll
        for (int j = 0; j < kThreadColumns; ++j) p[i][j] *= factors[j];
      }
    }
    store_weights(shared.weights, p, place);
    __syncthreads();
    out.multiply_weights(shared.weights, shared.across, place);
  }

  C inverse[kThreadRows];
#pragma unroll
  for (int i = 0; i < kThreadRows; ++i) {
    const C total = warp_reduce<kAcross>(sum[i], Add{});
    const int q = first_query + place.row(i);
    inverse[i] = total == C(0) ? C(0) : C(1) / total;
    if (call.log_sum_exp && slice == 0 && place.across == 0 && q < rule.queries)
      call.log_sum_exp[head * rule.queries + q] = maximum[i] + log2(total);  // -infinity where nothing was visible
  }
  const AttentionMatrix<T> to = call.out.select(head);
#pragma unroll
  for (int i = 0; i < kThreadRows; ++i)
#pragma unroll
    for (int j = 0; j < out.kCount; ++j) {
      const int q = first_query + place.row(i), column = first_column + out.column(j, place);
      if (q < rule.queries && column < call.v_columns) to.at(q, column) = convert<T>(out.v[i][j] * inverse[i]);
    }
}

// A thread a counter: four neighbouring keys of a row.
constexpr int kMaskBlock = 256;
template <class C> __global__ void __launch_bounds__(kMaskBlock)
    dropout_mask(C* __restrict__ out, int64_t rows, int64_t keys, float dropout, C kept, PhiloxState random) {
  const int64_t counters = (keys + 3) / 4, n = rows * counters;
  for (int64_t i = int64_t{blockIdx.x} * kMaskBlock + threadIdx.x; i < n; i += int64_t{gridDim.x} * kMaskBlock) {
    const int64_t row = i / counters, key = i % counters * 4;
    const Philox4 bits = philox(random.seed, random.offset + i);
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (key + j < keys) out[row * keys + key + j] = uniform_float(bits.v[j]) >= dropout ? kept : C(0);
  }
}

}  // namespace

// --- launchers ---

void attention_forward(const Context& context, const AttentionArgs& a) {
  if (takes_tensor_cores(a))
    return a.query.dtype == DType::f32 ? attention_forward_tf32(context, a) : attention_forward_mma(context, a);
  const int64_t qk_columns = a.query.shape[a.query.ndim - 1], v_columns = a.value.shape[a.value.ndim - 1];
  for_attention_width(a.query.dtype, qk_columns > v_columns ? qk_columns : v_columns, [&]<class T, int Width>() {
    using C = Compute<T>;
    ForwardCall<T, Width> call{AttentionMatrices<const T>(a.query),
                               AttentionMatrices<const T>(a.key),
                               AttentionMatrices<const T>(a.value),
                               AttentionMatrices<T>(a.out),
                               static_cast<C*>(a.log_sum_exp),
                               a.group,
                               ScoreRule<T>(a),
                               static_cast<C>(a.scale * kLog2E),
                               static_cast<int>(qk_columns),
                               static_cast<int>(v_columns),
                               0,
                               blocks_for(v_columns, Width)};
    call.tiles = static_cast<unsigned>((call.rule.queries + kTile - 1) / kTile);
    const unsigned heads = static_cast<unsigned>(attention_heads(a.query));
    launch(attention_forward_tiles<T, Width>,
           {heads * call.slices * call.tiles, kAttentionThreads, sizeof(ForwardShared<C, Width>)}, context, call);
  });
}

void attention_dropout_mask(const Context& context, const AttentionDropoutMaskArgs& a) {
  const int64_t counters = a.rows * ((a.keys + 3) / 4);
  if (counters == 0) return;
  const unsigned blocks = blocks_for(counters, kMaskBlock, 16 * multiprocessors(context));
  for_compute(a.dtype, [&]<class C>() {
    if constexpr (std::is_floating_point_v<C>)
      launch(dropout_mask<C>, {blocks, kMaskBlock}, context, static_cast<C*>(a.output), a.rows, a.keys,
             static_cast<float>(a.dropout), static_cast<C>(1 / (1 - a.dropout)), a.random);
  });
}

}  // namespace fastdl::cuda
