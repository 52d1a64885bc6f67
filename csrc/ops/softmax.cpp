// Softmax and log-softmax along a dimension.
#include "ops/launch.h"
#include "ops/ops.h"

namespace fastdl::ops {
namespace {

struct Extents {
  int64_t outer = 1, n = 1, inner = 1;
};  // before, at and after a dimension

Extents extents(const Tensor& x, int dim) {
  Extents e;
  for (int d = 0; d < x.ndim(); ++d) (d < dim ? e.outer : d == dim ? e.n : e.inner) *= x.shape()[d];
  return e;
}

Tensor backward(const Tensor& grad, const Tensor& y, int dim, bool log) {
  if (grad_enabled() && (needs_grad(grad) || needs_grad(y))) {
    const Shape dims{dim};
    if (log) return sub(grad, mul(exp(y), sum(grad, dims, true)));
    return mul(y, sub(grad, sum(mul(grad, y), dims, true)));
  }
  const Tensor g = contiguous(grad);
  Tensor gx = empty(y.shape(), y.dtype(), y.device());
  const Extents e = extents(y, dim);
  if (gx.numel() > 0)
    launch(&KernelTable::softmax_backward, y.device(),
           SoftmaxBackwardArgs{g.data(), y.data(), gx.data(), e.outer, e.n, e.inner, y.dtype(), log});
  return gx;
}

Tensor forward(const char* name, const Tensor& x, int64_t dim, bool log) {
  check_floating(name, x);
  const int d = normalize_dim(dim, x.ndim(), name);
  Tensor y = empty(x.shape(), x.dtype(), x.device());
  {
    GradMode no_grad(false);
    const Tensor input = contiguous(x);
    const Extents e = extents(x, d);
    if (y.numel() > 0)
      launch(&KernelTable::softmax_forward, x.device(),
             SoftmaxArgs{input.data(), y.data(), e.outer, e.n, e.inner, x.dtype(), log});
  }
  if (records(x))
    record(name, y, {x}, [y = save_output(y), d, log](GradCall& c) { c.set(0, backward(c.grad(), c(y), d, log)); });
  return y;
}

}  // namespace

Tensor softmax(const Tensor& x, int64_t dim) { return forward("softmax", x, dim, false); }
Tensor log_softmax(const Tensor& x, int64_t dim) { return forward("log_softmax", x, dim, true); }

}  // namespace fastdl::ops
