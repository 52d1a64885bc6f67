// Work of a known size, to time: what the machine can do at most.
#include "ops/launch.h"
#include "ops/ops.h"

namespace fastdl::ops {

Tensor probe_flops(int64_t iterations, int64_t tasks, Device device) {
  if (iterations < 0 || tasks < 1)
    throw ValueError(str("probe_flops: expected iterations >= 0 and tasks >= 1, got ", iterations, " and ", tasks));
  Tensor sums = empty({tasks}, DType::f32, device);
  launch(&KernelTable::probe_flops, sums.device(), ProbeFlopsArgs{tasks, iterations, sums.data<float>()});
  return sums;
}

void probe_copy(const Tensor& target, const Tensor& source, bool streaming) {
  check_same_device("probe_copy", {target, source});
  for (const Tensor* t : {&target, &source})
    if (t->dtype() != DType::f32 || !t->is_contiguous() || t->numel() != target.numel())
      throw ShapeError(str("probe_copy: expected two contiguous float32 tensors of one size, got ", target.shape(), " and ",
                           source.shape()));
  check_writable("probe_copy", target);
  launch(&KernelTable::probe_copy, target.device(),
         ProbeCopyArgs{source.data<float>(), target.data<float>(), target.numel(), streaming});
  changed(target);
}

}  // namespace fastdl::ops
