// Scaled dot-product attention.
#pragma once
#include "core/philox.h"
#include "core/view.h"

namespace fastdl {

// Leading dimensions ("heads" below) are flattened in order. Query head h reads key and value head h / group.
struct AttentionArgs {
  View query;            // (..., T, D)
  View key;              // (..., S, D)
  View value;            // (..., S, E)
  View mask;             // (..., T, S) broadcast over the query heads: bool (true takes part) or added to the scores;
                         // data is null when there is none
  View out;              // (..., T, E)
  void* log_sum_exp;     // [query heads][T], base 2, in the type computed in (float32, or float64); may be null
  int64_t group;
  double scale;
  bool causal;           // query t sees keys 0 .. t
  bool tf32;             // float32 products may be rounded to TF32, on devices that are faster for it
  double dropout;        // probability; 0 for none
  PhiloxState random;    // query row r (of all heads) has counters offset + r * ceil(S / 4) + s / 4
};

// The sums are computed in float32 (float64 for float64): grad_query_parts[c] is the part of the gradient that comes
// from key chunk c; the op adds the parts and rounds to the storage type.
struct AttentionBackwardArgs {
  AttentionArgs forward;    // out and log_sum_exp as the forward left them
  View grad_out;            // (..., T, E)
  void* row_products;       // workspace [query heads][T], for what each row of grad_out has in common with out
  void* grad_query_parts;   // [key_chunks][query heads][T][D]
  void* grad_key;           // [key heads][S][D]
  void* grad_value;         // [key heads][S][E]
  int64_t key_chunks;       // 1 for CUDA
};

// The factors that dropout multiplies the attention weights with: 1 / (1 - p), or 0 where one is dropped.
struct AttentionDropoutMaskArgs {
  void* output;  // [rows][keys], contiguous; rows of all query heads
  int64_t rows, keys;
  double dropout;
  PhiloxState random;
  DType dtype;  // float32 or float64
};

}  // namespace fastdl
