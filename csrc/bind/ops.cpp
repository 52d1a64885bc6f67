#include "bind/ops.h"

#include "bind/def.h"

namespace fastdl::bind {

void init_ops(PyObject* m) {
  // --- factories ---
  def<&ops::full>(m, "full(size, fill_value, dtype, device)");
  def<static_cast<Tensor (*)(const Shape&, DType, Device)>(&ops::empty)>(m, "empty(size, dtype, device)");
  def<static_cast<Tensor (*)(const Tensor&, DType)>(&ops::empty_like)>(m, "empty_like(input, dtype)");
  method<&ops::item_scalar>("item(self)");

  // --- views ---
  both<&ops::as_strided>(m, "as_strided(input, size, stride, storage_offset=0)");
  method<&ops::view>("view(self, *shape)");
  def<&ops::reshape>(m, "reshape(input, shape)");
  method<&ops::reshape>("reshape(self, *shape)");
  both<&ops::flatten>(m, "flatten(input, start_dim=0, end_dim=-1)");
  both<&ops::unflatten>(m, "unflatten(input, dim, sizes)");
  both<&ops::transpose>(m, "transpose(input, dim0, dim1)");
  def<&ops::permute>(m, "permute(input, dims)");
  method<&ops::permute>("permute(self, *dims)");
  both<&ops::t>(m, "t(input)");
  method<&ops::expand>("expand(self, *size)");
  both<&ops::squeeze>(m, "squeeze(input, dim=None)");
  both<&ops::unsqueeze>(m, "unsqueeze(input, dim)");
  both<&ops::select>(m, "select(input, dim, index)");
  both<&ops::narrow>(m, "narrow(input, dim, start, length)");
  def<&ops::split>(m, "split(tensor, split_size, dim=0)");
  def<&ops::split_sizes>(m, "split_sizes(tensor, split_sizes, dim=0)");
  both<&ops::chunk>(m, "chunk(input, chunks, dim=0)");
  both<&ops::unbind>(m, "unbind(input, dim=0)");
  both<&ops::diagonal>(m, "diagonal(input, offset=0, dim1=0, dim2=1)");
  method<&ops::unfold>("unfold(self, dimension, size, step)");
  both<&ops::movedim>(m, "movedim(input, source, destination)");
  method<&ops::detach>("detach(self)");

  // --- copies ---
  method<&ops::contiguous>("contiguous(self)");
  both<&ops::clone>(m, "clone(input)");
  both<&ops::fill_>(m, "fill_(input, value)");
  def<&ops::to_dtype>(m, "to_dtype(input, dtype)");
  def<&ops::to_channels_last>(m, "to_channels_last(input)");
  method<&ops::copy_>("copy_(self, src: number)");

  // --- elementwise ---
  def<&ops::add>(m, "add(input, other: number)");
  def<&ops::mul>(m, "mul(input, other: number)");

  // --- reductions ---
  both<&ops::sum>(m, "sum(input, dim=None, keepdim=False)");
}

}  // namespace fastdl::bind
