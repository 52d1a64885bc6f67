// Attention with the softmax computed online (Dao et al., "FlashAttention", 2022; Milakov and Gimelshein, 2018): the
// T x S weights exist only as tiles. A task owns a block of kQueryBlock queries of one head and goes over the keys.
// Queries lie in the lanes: scores^T = K Q^T and out^T = V^T P^T broadcast elements of K and V as they lie in memory,
// so only Q is packed, and the running maximum and sum of a row are vertical vector operations.
// Causal: tiles above the diagonal are skipped; along it tiles are narrower and start at the first query that sees them.
// Flops 2 T S (D + E) a head, half of it when causal; bytes T (D + E) + S (D + E) elements a head.
// Scores are kept in base 2 (log2(e) is folded into the scale).
#include "cpu/kernels/attention.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

template <class V> struct RowState {  // of the queries of a block, one a lane
  using T = lane_t<V>;
  T* maximum;  // of the scores so far
  T* sum;      // of 2^(score - maximum)
  T* rescale;  // what the last tile's new maximum multiplies earlier sums by
};

// Turns a tile of scores into weights relative to the running maximum.
template <class V>
__attribute__((noinline)) void softmax_tile(lane_t<V>* tile, int64_t keys, int64_t first, int64_t end, RowState<V> state) {
  using T = lane_t<V>;
  constexpr int L = lanes<V>;
  for (int64_t c = first; c < end; c += L) {
    T* column = tile + c;
    const V before = load<V>(state.maximum + c);
    V m0 = before, m1 = before;
    int64_t k = 0;
    for (; k + 2 <= keys; k += 2) {
      m0 = max<V>(m0, load<V>(column + k * kQueryBlock));
      m1 = max<V>(m1, load<V>(column + (k + 1) * kQueryBlock));
    }
    if (k < keys) m0 = max<V>(m0, load<V>(column + k * kQueryBlock));
    const V maximum = max<V>(m0, m1);
    // A row that has seen only -infinity: keep the differences below from being NaN.
    const V pivot = select<V>(maximum == -kInfinity<T>, zero<V>(), maximum);
    const V rescale = exp2(before - pivot);
    V sum = zero<V>();
    for (k = 0; k < keys; ++k) {
      const V p = exp2(load<V>(column + k * kQueryBlock) - pivot);
      store<V>(column + k * kQueryBlock, p);
      sum += p;
    }
    store<V>(state.maximum + c, maximum);
    store<V>(state.rescale + c, rescale);
    store<V>(state.sum + c, load<V>(state.sum + c) * rescale + sum);
  }
}

template <class S> void forward_block(const AttentionArgs& a, int64_t head, int64_t block) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  constexpr int L = lanes<V>;
  const Matrix<const S> query = matrix<const S>(a.query, head), key = matrix<const S>(a.key, head / a.group);
  const Matrix<const S> value = matrix<const S>(a.value, head / a.group);
  const Matrix<S> out = matrix<S>(a.out, head);
  const int64_t rows = query.rows - block < kQueryBlock ? query.rows - block : kQueryBlock;
  const int64_t columns = whole_vectors<V>(rows);
  const int64_t qk_width = whole_vectors<V>(query.columns), v_width = whole_vectors<V>(value.columns);
  const int64_t widest = qk_width > v_width ? qk_width : v_width;

  const int64_t elements = kQueryBlock * (3 * widest + v_width + qk_width + 2 * kKeyBlock + 3);
  Arena arena{static_cast<char*>(scratch(0, elements * sizeof(T) + 1024))};
  T* rows_buffer = arena.take<T>(kQueryBlock * widest);
  T* key_buffer = arena.take<T>(kKeyBlock * qk_width);
  T* value_buffer = arena.take<T>(kKeyBlock * v_width);
  T* query_t = arena.take<T>(qk_width * kQueryBlock);
  T* out_t = arena.take<T>(v_width * kQueryBlock);
  T* weights = arena.take<T>(kKeyBlock * kQueryBlock);
  T* factors = a.dropout > 0 ? arena.take<T>(kKeyBlock * kQueryBlock) : nullptr;
  RowState<V> state{arena.take<T>(kQueryBlock), arena.take<T>(kQueryBlock), arena.take<T>(kQueryBlock)};

  pack_rows<V>(rows_buffer, qk_width, query, block, rows, static_cast<T>(a.scale * kLog2E));
  memset(rows_buffer + rows * qk_width, 0, (columns - rows) * qk_width * sizeof(T));
  transpose_rows<V>(query_t, rows_buffer, qk_width, columns);
  memset(out_t, 0, v_width * kQueryBlock * sizeof(T));
  for (int64_t c = 0; c < columns; c += L) {
    store<V>(state.maximum + c, broadcast<V>(-kInfinity<T>));
    store<V>(state.sum + c, zero<V>());
  }

  const int64_t visible = a.causal && block + rows < key.rows ? block + rows : key.rows;
  int64_t keys;
  for (int64_t s = 0; s < visible; s += keys) {
    const bool diagonal = a.causal && s + kKeyBlock > block;
    keys = diagonal ? kDiagonalKeyBlock : kKeyBlock;
    if (s + keys > visible) keys = visible - s;
    const int64_t first = diagonal && s > block ? (s - block) / L * L : 0;
    const WeightTile<V> tile{a, head, block, first, columns, s, keys};

    const T* k = tile_rows<V>(key, s, keys, key_buffer);
    product<V>(keys, columns - first, key.columns, {k, qk_width, 1}, query_t + first, kQueryBlock, weights + first, kQueryBlock,
               TileStart::zero);
    tile.apply_masks(weights);
    softmax_tile<V>(weights, keys, first, columns, state);
    if (a.dropout > 0) {
      tile.dropout_factors(factors);
      for (int64_t i = 0; i < keys * kQueryBlock; i += L) store<V>(weights + i, load<V>(weights + i) * load<V>(factors + i));
    }
    const T* v = tile_rows<V>(value, s, keys, value_buffer);
    product<V>(value.columns, columns - first, keys, {v, 1, v_width}, weights + first, kQueryBlock, out_t + first, kQueryBlock,
               TileStart::rescale, state.rescale + first);
  }

  T* log_sum_exp = a.log_sum_exp ? static_cast<T*>(a.log_sum_exp) + head * query.rows + block : nullptr;
  for (int64_t c = 0; c < columns; c += L) {
    const V sum = load<V>(state.sum + c);
    store<V>(state.rescale + c, select<V>(sum == T(0), zero<V>(), T(1) / sum));
    if (log_sum_exp) {
      const V lse = load<V>(state.maximum + c) + log2(sum);  // -infinity where nothing was visible
      if (c + L <= rows) store<V>(log_sum_exp + c, lse);
      else store_n<V>(log_sum_exp + c, lse, rows - c);
    }
  }
  for (int64_t c = 0; c < columns; c += L) {
    const V scale = load<V>(state.rescale + c);
    for (int64_t d = 0; d < v_width; d += L) {
      V v[L];
      for (int i = 0; i < L; ++i) v[i] = load<V>(out_t + (d + i) * kQueryBlock + c) * scale;
      transpose(v);
      const int64_t n = value.columns - d < L ? value.columns - d : L;
      for (int i = 0; i < L && c + i < rows; ++i) {
        S* p = out.data + (block + c + i) * out.row_stride + d;
        if (n == L) store_as<V>(p, v[i]);
        else store_as_n<V>(p, v[i], n);
      }
    }
  }
}

}  // namespace

void attention_forward(const Context&, const AttentionArgs& args) {
  const int64_t queries = rows_of(args.query), blocks = (queries + kQueryBlock - 1) / kQueryBlock;
  const int64_t rows = queries < kQueryBlock ? queries : kQueryBlock;
  const int64_t flops = 2 * rows * rows_of(args.key) * (columns_of(args.query) + columns_of(args.value));
  visit_floating(args.query.dtype, [&](auto tag) {
    parallel_for(matrices(args.query) * blocks, grain_for_flops(flops), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) forward_block<decltype(tag)>(args, i / blocks, i % blocks * kQueryBlock);
    });
  });
}

void attention_dropout_mask(const Context&, const AttentionDropoutMaskArgs& a) {
  visit_floating(a.dtype, [&](auto tag) {
    using S = decltype(tag);
    using T = lane_t<compute_vector<S>>;
    const T kept = static_cast<T>(1 / (1 - a.dropout));
    S* out = static_cast<S*>(a.output);
    parallel_for(a.rows, grain_for(16 * a.keys), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        for (int64_t s = 0; s < a.keys; s += 4) {
          const Philox4 bits = fastdl::philox(a.random.seed, a.random.offset + r * ((a.keys + 3) / 4) + s / 4);
          for (int64_t j = 0; j < 4 && s + j < a.keys; ++j)
            from_compute(out + r * a.keys + s + j,
                         fastdl::uniform_float(bits.v[j]) >= static_cast<float>(a.dropout) ? kept : T(0));
        }
    });
  });
}

}  // namespace FASTDL_CPU_NAMESPACE
