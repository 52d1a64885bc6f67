// Gradient of attention. The weights are computed again, tile by tile, from the forward's log-sum-exp (Dao et al., 2022):
//   P = 2^(Q K^T - lse)   dP = dO V^T   dS = P (dP - rowsum(dO O))   dV = P^T dO   dK = dS^T Q   dQ = dS K
// A task owns a chunk of one head's keys: it goes over the queries of the heads in its group, holds dQ of a query block,
// and adds to its own dK and dV. With several chunks each leaves a part of dQ, added up in order by the op.
// Tiles have queries in the lanes, as in the forward; all five products are tile_product with other strides.
// Flops 2.5 times the forward's; bytes: Q, K, V, O, dO read once a chunk, dQ, dK, dV written once.
#include "cpu/kernels/attention.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

// dst[r][0 .. columns) += src[r][0 .. columns), src's rows `width` long.
template <class V> void add_rows(lane_t<V>* dst, int64_t columns, const lane_t<V>* src, int64_t width, int64_t rows) {
  constexpr int L = lanes<V>;
  for (int64_t r = 0; r < rows; ++r, dst += columns, src += width) {
    int64_t c = 0;
    for (; c + L <= columns; c += L) store<V>(dst + c, load<V>(dst + c) + load<V>(src + c));
    if (c < columns) store_n<V>(dst + c, load_n<V>(dst + c, columns - c) + load<V>(src + c), columns - c);
  }
}
template <class V> void scale_array(lane_t<V>* dst, int64_t n, lane_t<V> factor) {
  for (int64_t i = 0; i < n; ++i) dst[i] *= factor;
}

// Scores become weights, gradients of weights become gradients of scores. lse and delta lie one query a lane.
template <class V> __attribute__((noinline)) void score_gradient_tile(lane_t<V>* weights, lane_t<V>* gradients, int64_t keys,
                                                                      int64_t first, int64_t end, const lane_t<V>* lse,
                                                                      const lane_t<V>* delta, const lane_t<V>* factors) {
  constexpr int L = lanes<V>;
  for (int64_t k = 0; k < keys; ++k)
    for (int64_t c = first; c < end; c += L) {
      const int64_t i = k * kQueryBlock + c;
      const V p = exp2(load<V>(weights + i) - load<V>(lse + c));
      V g = load<V>(gradients + i);
      if (factors) {
        const V kept = load<V>(factors + i);
        g *= kept;
        store<V>(weights + i, p * kept);
      } else {
        store<V>(weights + i, p);
      }
      store<V>(gradients + i, p * (g - load<V>(delta + c)));
    }
}

template <class S> void backward_chunk(const AttentionBackwardArgs& args, int64_t key_head, int64_t chunk) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  constexpr int L = lanes<V>;
  const AttentionArgs& a = args.forward;
  const Matrix<const S> key = matrix<const S>(a.key, key_head), value = matrix<const S>(a.value, key_head);
  const int64_t queries = rows_of(a.query), d = key.columns, e = value.columns;
  const int64_t d_width = whole_vectors<V>(d), e_width = whole_vectors<V>(e);
  const int64_t widest = d_width > e_width ? d_width : e_width;

  const int64_t key_blocks = (key.rows + kKeyBlock - 1) / kKeyBlock;
  const int64_t chunk_begin = key_blocks * chunk / args.key_chunks * kKeyBlock;
  int64_t chunk_end = key_blocks * (chunk + 1) / args.key_chunks * kKeyBlock;
  if (chunk_end > key.rows) chunk_end = key.rows;
  T* const grad_key = static_cast<T*>(args.grad_key) + key_head * key.rows * d;
  T* const grad_value = static_cast<T*>(args.grad_value) + key_head * key.rows * e;
  const auto clear = [](T* p, int64_t n) {
    if (n > 0) memset(p, 0, n * sizeof(T));  // a gradient without elements has no memory
  };
  clear(grad_key + chunk_begin * d, (chunk_end - chunk_begin) * d);
  clear(grad_value + chunk_begin * e, (chunk_end - chunk_begin) * e);

  const int64_t elements = kQueryBlock * (5 * d_width + 4 * e_width + widest + 3 * kKeyBlock + 2);
  Arena arena{static_cast<char*>(scratch(0, elements * sizeof(T) + 1024))};
  T* query_rows = arena.take<T>(kQueryBlock * d_width);  // scaled, in base 2
  T* query_t = arena.take<T>(kQueryBlock * d_width);
  T* grad_query = arena.take<T>(kQueryBlock * d_width);
  T* grad_out_rows = arena.take<T>(kQueryBlock * e_width);
  T* grad_out_t = arena.take<T>(kQueryBlock * e_width);
  T* key_buffer = arena.take<T>(kKeyBlock * d_width);
  T* value_buffer = arena.take<T>(kKeyBlock * e_width);
  T* product_buffer = arena.take<T>(kKeyBlock * widest);
  T* weights = arena.take<T>(kKeyBlock * kQueryBlock);
  T* gradients = arena.take<T>(kKeyBlock * kQueryBlock);
  T* factors = a.dropout > 0 ? arena.take<T>(kKeyBlock * kQueryBlock) : nullptr;
  T* lse = arena.take<T>(kQueryBlock);
  T* delta = arena.take<T>(kQueryBlock);

  for (int64_t head = key_head * a.group; head < (key_head + 1) * a.group; ++head) {
    const Matrix<const S> query = matrix<const S>(a.query, head), grad_out = matrix<const S>(args.grad_out, head);
    const Matrix<const S> out = matrix<const S>(a.out, head);
    const T* log_sum_exp = static_cast<const T*>(a.log_sum_exp) + head * queries;
    T* const grad_query_out = static_cast<T*>(args.grad_query_parts) + (chunk * matrices(a.query) + head) * queries * d;
    for (int64_t block = 0; block < queries; block += kQueryBlock) {
      const int64_t rows = queries - block < kQueryBlock ? queries - block : kQueryBlock;
      const int64_t columns = whole_vectors<V>(rows);
      const int64_t visible = a.causal && block + rows < chunk_end ? block + rows : chunk_end;
      if (visible <= chunk_begin) {  // causal: this block sees nothing of the chunk
        memset(grad_query_out + block * d, 0, rows * d * sizeof(T));
        continue;
      }
      pack_rows<V>(query_rows, d_width, query, block, rows, static_cast<T>(a.scale * kLog2E));
      memset(query_rows + rows * d_width, 0, (columns - rows) * d_width * sizeof(T));
      transpose_rows<V>(query_t, query_rows, d_width, columns);
      pack_rows<V>(grad_out_rows, e_width, grad_out, block, rows, T(1));
      memset(grad_out_rows + rows * e_width, 0, (columns - rows) * e_width * sizeof(T));
      transpose_rows<V>(grad_out_t, grad_out_rows, e_width, columns);
      memset(grad_query, 0, columns * d_width * sizeof(T));
      for (int64_t r = 0; r < columns; ++r) {
        // Rows past the end, and rows that see nothing, have weights 2^(score - infinity) = 0.
        lse[r] = r < rows && log_sum_exp[block + r] != -kInfinity<T> ? log_sum_exp[block + r] : kInfinity<T>;
        delta[r] = 0;
        if (r < rows) {
          pack_rows<V>(product_buffer, e_width, out, block + r, 1, T(1));
          V dot = zero<V>();
          for (int64_t c = 0; c < e_width; c += L)
            dot += load<V>(product_buffer + c) * load<V>(grad_out_rows + r * e_width + c);
          delta[r] = sum(dot);
        }
      }

      int64_t keys;
      for (int64_t s = chunk_begin; s < visible; s += keys) {
        const bool diagonal = a.causal && s + kKeyBlock > block;
        keys = diagonal ? kDiagonalKeyBlock : kKeyBlock;
        if (s + keys > visible) keys = visible - s;
        const int64_t first = diagonal && s > block ? (s - block) / L * L : 0;
        const WeightTile<V> tile{a, head, block, first, columns, s, keys};
        const int64_t width = tile.columns();

        const T* k = tile_rows<V>(key, s, keys, key_buffer);
        const T* v = tile_rows<V>(value, s, keys, value_buffer);
        product<V>(keys, width, d, {k, d_width, 1}, query_t + first, kQueryBlock, weights + first, kQueryBlock,
                   TileStart::zero);
        tile.apply_masks(weights);
        product<V>(keys, width, e, {v, e_width, 1}, grad_out_t + first, kQueryBlock, gradients + first, kQueryBlock,
                   TileStart::zero);
        if (factors) tile.dropout_factors(factors);
        score_gradient_tile<V>(weights, gradients, keys, first, columns, lse, delta, factors);

        product<V>(keys, e_width, width, {weights + first, kQueryBlock, 1}, grad_out_rows + first * e_width, e_width,
                   product_buffer, e_width, TileStart::zero);
        add_rows<V>(grad_value + s * e, e, product_buffer, e_width, keys);
        product<V>(keys, d_width, width, {gradients + first, kQueryBlock, 1}, query_rows + first * d_width, d_width,
                   product_buffer, d_width, TileStart::zero);
        add_rows<V>(grad_key + s * d, d, product_buffer, d_width, keys);
        product<V>(width, d_width, keys, {gradients + first, 1, kQueryBlock}, k, d_width, grad_query + first * d_width, d_width,
                   TileStart::accumulate);
      }
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < d; ++c)
          grad_query_out[(block + r) * d + c] = grad_query[r * d_width + c] * static_cast<T>(a.scale);
    }
  }
  // query_rows carried scale * log2(e).
  scale_array<V>(grad_key + chunk_begin * d, (chunk_end - chunk_begin) * d, static_cast<T>(kLn2));
}

}  // namespace

void attention_backward(const Context&, const AttentionBackwardArgs& args) {
  visit_floating(args.forward.query.dtype, [&](auto tag) {
    parallel_tasks(matrices(args.forward.key) * args.key_chunks,
                   [&](int64_t task) { backward_chunk<decltype(tag)>(args, task / args.key_chunks, task % args.key_chunks); });
  });
}

}  // namespace FASTDL_CPU_NAMESPACE
