// Attention's forward on the warps' tensor cores (attention/tensor_core.h), with the softmax computed online. A block owns a
// tile of queries and goes over the keys. Copies run beside the products: values come while the scores are computed, and
// the next keys while these are turned into weights and multiplied by the values. Scores are kept in base 2.
#pragma once
#include "cuda/attention/pass.h"
#include "cuda/attention/tensor_core.h"
#include "cuda/device/launch.h"

namespace fastdl::cuda {

// --- tiles ---

// What 99 KiB of shared memory and 255 registers a thread hold. kModified: there is a mask or dropout.
template <class T, int Width, bool kModified> struct ForwardTile {
  static constexpr int down = sizeof(T) == 2 && Width <= (kModified ? 64 : 128) ? 2 : 1, warp_rows = 16 * down;
  static constexpr int queries = kAttentionWarps * warp_rows, keys = sizeof(T) == 2 && Width < 128 ? 64 : 32;
};

template <class T, int Width, class Tile> struct ForwardMmaShared {
  OperandTile<T, Tile::queries, Width> query;
  OperandTile<T, Tile::keys, Width> key, value;
};

template <class T> struct ForwardMmaCall {
  AttentionMatrices<const T> query, key, value;
  AttentionMatrices<T> out;
  float* log_sum_exp;
  int64_t group;
  ScoreRule<T> rule;
  float scale;  // with log2(e)
  int qk_columns, v_columns;
  unsigned tiles;  // of a head: blocks are [head][tile of queries]
};

// --- kernel ---

template <class T, int Width, bool kModified> __global__ void __launch_bounds__(kMmaAttentionThreads)
    attention_forward_tiles(const __grid_constant__ ForwardMmaCall<T> call) {
  using Tile = ForwardTile<T, Width, kModified>;
  using Shared = ForwardMmaShared<T, Width, Tile>;
  constexpr int kDown = Tile::down, kKeys = Tile::keys;
  FASTDL_SHARED(Shared, shared);
  const WarpPlace place(Tile::warp_rows);
  const int first_query = static_cast<int>(call.tiles - 1 - blockIdx.x % call.tiles) * Tile::queries;
  const int64_t head = blockIdx.x / call.tiles, key_head = head / call.group;
  const AttentionMatrix<const T> key = call.key.select(key_head), value = call.value.select(key_head);
  const ScoreRule<T>& rule = call.rule;
  const int64_t mask_start = rule.mask_start(head);
  const int visible = rule.visible_keys(first_query + Tile::queries);
  if (visible > 0) {
    begin_tile(shared.query, call.query.select(head), first_query, rule.queries, call.qk_columns);
    begin_tile(shared.key, key, 0, rule.keys, call.qk_columns);
    async_copy_commit();
  }

  WarpSums<kDown, Width> out;
  clear(out);
  float maximum[kDown][2], sum[kDown][2];  // of rows g and g + 8
#pragma unroll
  for (int i = 0; i < kDown; ++i)
#pragma unroll
    for (int h = 0; h < 2; ++h) maximum[i][h] = -INFINITY, sum[i][h] = 0;

  for (int s = 0; s < visible; s += kKeys) {
    async_copy_wait<0>();
    __syncthreads();  // the keys are there, and the values before them are read
    begin_tile(shared.value, value, s, rule.keys, call.v_columns);
    async_copy_commit();
    WarpSums<kDown, kKeys> p;
    multiply_sides(p, shared.query, shared.key, place.row);
    async_copy_wait<0>();
    __syncthreads();  // the values are there, and the keys are read
    if (s + kKeys < visible) {
      begin_tile(shared.key, key, s + kKeys, rule.keys, call.qk_columns);
      async_copy_commit();
    }

    const bool masked = !rule.all_visible(first_query + place.row, s, kKeys);
#pragma unroll
    for (int i = 0; i < kDown; ++i) {
      float top[2] = {maximum[i][0], maximum[i][1]};
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          float& x = p[i][j][e];
          x *= call.scale;
          if (masked) {
            const int q = first_query + place.row_of(i, e), k = s + place.column_of(j, e);
            if constexpr (kModified) x = rule.masked(x, mask_start, q, k);
            else x = rule.outside(q, k) ? -INFINITY : x;
          }
          top[e / 2] = Max{}(top[e / 2], x);
        }
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        top[h] = warp_reduce<4>(top[h], Max{});
        // A row that has seen only -infinity: keep the differences below from being NaN.
        const float pivot = top[h] == -INFINITY ? 0.0f : top[h], rescale = exp2_approximate(maximum[i][h] - pivot);
        maximum[i][h] = top[h];
        sum[i][h] *= rescale;
#pragma unroll
        for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
          for (int e = 2 * h; e < 2 * h + 2; ++e) {
            p[i][j][e] = exp2_approximate(p[i][j][e] - pivot);
            sum[i][h] += p[i][j][e];
          }
#pragma unroll
        for (int j = 0; j < Width / 8; ++j) out[i][j][2 * h] *= rescale, out[i][j][2 * h + 1] *= rescale;
      }
      if constexpr (kModified)
        if (rule.drops)
#pragma unroll
          for (int j = 0; j < kKeys / 8; j += 2) {
            float factors[2][4];
            dropout_factors_of_queries(factors, rule, head, first_query + place.row + 16 * i, s + 8 * j, place);
#pragma unroll
            for (int e = 0; e < 4; ++e) p[i][j][e] *= factors[0][e], p[i][j + 1][e] *= factors[1][e];
          }
    }
    multiply_weights<T, kDown, kKeys, Width>(out, p, shared.value);
  }

  const AttentionMatrix<T> to = call.out.select(head);
#pragma unroll
  for (int i = 0; i < kDown; ++i)
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const float total = warp_reduce<4>(sum[i][h], Add{});
      const int q = first_query + place.row_of(i, 2 * h);
      const float inverse = total == 0 ? 0.0f : 1 / total;
      if (q >= rule.queries) continue;
      if (call.log_sum_exp && place.t == 0)
        call.log_sum_exp[head * rule.queries + q] = maximum[i][h] + log2(total);  // -infinity where nothing was visible
#pragma unroll
      for (int j = 0; j < Width / 8; ++j)
        to.store_two(q, place.column_of(j, 0), call.v_columns, out[i][j][2 * h] * inverse, out[i][j][2 * h + 1] * inverse);
    }
}

// --- launcher ---

template <class T> void attention_forward_on_tensor_cores(const Context& context, const AttentionArgs& a) {
  ForwardMmaCall<T> call{AttentionMatrices<const T>(a.query),
                         AttentionMatrices<const T>(a.key),
                         AttentionMatrices<const T>(a.value),
                         AttentionMatrices<T>(a.out),
                         static_cast<float*>(a.log_sum_exp),
                         a.group,
                         ScoreRule<T>(a),
                         static_cast<float>(a.scale * kLog2E),
                         static_cast<int>(a.query.shape[a.query.ndim - 1]),
                         static_cast<int>(a.value.shape[a.value.ndim - 1]),
                         0};
  const unsigned heads = static_cast<unsigned>(attention_heads(a.query));
  for_mma_width(call.qk_columns > call.v_columns ? call.qk_columns : call.v_columns, [&]<int Width>() {
    const auto run = [&]<bool kModified>() {
      using Tile = ForwardTile<T, Width, kModified>;
      call.tiles = static_cast<unsigned>((call.rule.queries + Tile::queries - 1) / Tile::queries);
      launch(attention_forward_tiles<T, Width, kModified>,
             {heads * call.tiles, kMmaAttentionThreads, sizeof(ForwardMmaShared<T, Width, Tile>)}, context, call);
    };
    call.rule.modifies() ? run.template operator()<true>() : run.template operator()<false>();
  });
}

}  // namespace fastdl::cuda
