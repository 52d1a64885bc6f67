// What each kernel reads and writes, and its floating-point operations: from this a plan knows which memory a call changes,
// which calls depend on which, and what a call costs. A kernel that is not described here may do anything: a plan then
// takes it to read and write all that it can reach.
#pragma once
#include <vector>

#include "kernels/table.h"

namespace fastdl {

class Operands {
 public:
  struct Operand {
    View view;
    bool read, written;
  };

  void read(const View& v) { add(v, true, false); }
  void write(const View& v) { add(v, false, true); }   // every element, whatever it was
  void update(const View& v) { add(v, true, true); }   // depends on what it was, or not every element is written
  void read(const void* data, int64_t n, DType dtype) { read(flat(data, n, dtype)); }
  void write(const void* data, int64_t n, DType dtype) { write(flat(data, n, dtype)); }
  void update(const void* data, int64_t n, DType dtype) { update(flat(data, n, dtype)); }

  const std::vector<Operand>& list() const { return list_; }
  void append(const Operands& o) {
    list_.insert(list_.end(), o.list_.begin(), o.list_.end());
    flops += o.flops;
  }
  double bytes() const;  // read and written once
  double flops = 0;
  bool described = true;

 private:
  static View flat(const void* data, int64_t n, DType dtype) { return {const_cast<void*>(data), {n}, {1}, 1, dtype}; }
  void add(const View& v, bool read, bool written) {
    if (v.data) list_.push_back({v, read, written});
  }
  std::vector<Operand> list_;
};

// The bytes from the first to the last element of a view.
struct Extent {
  const char *begin, *end;
  bool meets(const Extent& o) const { return begin < o.end && o.begin < end; }
  bool within(const Extent& o) const { return o.begin <= begin && end <= o.end; }
};
Extent extent_of(const View& v);

#define FASTDL_ARGS(Args) void describe(const char* kernel, const Args& args, Operands& o);
FASTDL_ARGS(UnaryArgs)
FASTDL_ARGS(PredicateArgs)
FASTDL_ARGS(BinaryArgs)
FASTDL_ARGS(CompareArgs)
FASTDL_ARGS(TernaryArgs)
FASTDL_ARGS(CopyArgs)
FASTDL_ARGS(FillArgs)
FASTDL_ARGS(ArangeArgs)
FASTDL_ARGS(SoftmaxArgs)
FASTDL_ARGS(SoftmaxBackwardArgs)
FASTDL_ARGS(LayerNormArgs)
FASTDL_ARGS(LayerNormBackwardArgs)
FASTDL_ARGS(GroupNormArgs)
FASTDL_ARGS(GroupNormBackwardArgs)
FASTDL_ARGS(BatchNormArgs)
FASTDL_ARGS(BatchNormBackwardArgs)
FASTDL_ARGS(AttentionArgs)
FASTDL_ARGS(AttentionBackwardArgs)
FASTDL_ARGS(AttentionDropoutMaskArgs)
FASTDL_ARGS(CrossEntropyArgs)
FASTDL_ARGS(CrossEntropyBackwardArgs)
FASTDL_ARGS(FindBadLabelArgs)
FASTDL_ARGS(PointwiseLossArgs)
FASTDL_ARGS(PointwiseLossBackwardArgs)
FASTDL_ARGS(ReduceArgs)
FASTDL_ARGS(ArgReduceArgs)
FASTDL_ARGS(ScanArgs)
FASTDL_ARGS(SortArgs)
FASTDL_ARGS(RandomArgs)
FASTDL_ARGS(DropoutArgs)
FASTDL_ARGS(IndexOffsetsArgs)
FASTDL_ARGS(IndexGatherArgs)
FASTDL_ARGS(IndexScatterArgs)
FASTDL_ARGS(GatherArgs)
FASTDL_ARGS(ScatterArgs)
FASTDL_ARGS(TriangleArgs)
FASTDL_ARGS(OptimizerStepArgs)
FASTDL_ARGS(GradNormArgs)
FASTDL_ARGS(ScaleGradsArgs)
FASTDL_ARGS(ConvArgs)
FASTDL_ARGS(ConvWeightArgs)
FASTDL_ARGS(MaxPoolArgs)
FASTDL_ARGS(AvgPoolArgs)
FASTDL_ARGS(MatmulArgs)
FASTDL_ARGS(Int8LinearArgs)
FASTDL_ARGS(RnnArgs)
FASTDL_ARGS(RnnBackwardArgs)
#undef FASTDL_ARGS

}  // namespace fastdl
