"""Batch norm in evaluation folded into the layer before it."""

import copy

import fastdl
from fastdl.nn.parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _fused(weight, bias, shape, mean, var, eps, bn_weight, bn_bias):
    scale = (var + eps).rsqrt()
    scale = scale if bn_weight is None else scale * bn_weight
    shift = (-mean if bias is None else bias - mean) * scale
    shift = shift if bn_bias is None else shift + bn_bias
    bias_dtype = weight.dtype if bias is None else bias.dtype
    with fastdl.no_grad():
        return (
            Parameter((weight * scale.reshape(shape)).detach().to(weight.dtype), weight.requires_grad),
            Parameter(shift.detach().to(bias_dtype), True if bias is None else bias.requires_grad),
        )


def _check_evaluation(layer, bn):
    if layer.training or bn.training:
        raise AssertionError("fusion is for evaluation: call eval() first")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("fusion needs running statistics")


def fuse_conv_bn_weights(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, transpose=False):
    """Weight and bias of the convolution that a convolution and a batch norm after it are.

    Args:
        conv_w, conv_b: of the convolution; conv_b may be None.
        bn_rm, bn_rv, bn_eps: running mean, running variance and eps of the batch norm.
        bn_w, bn_b: its weight and bias, or None.
        transpose: whether the convolution is a transposed one.
    """
    shape = (1, -1) if transpose else (-1, 1)
    return _fused(conv_w, conv_b, shape + (1,) * (conv_w.ndim - 2), bn_rm, bn_rv, bn_eps, bn_w, bn_b)


def fuse_conv_bn_eval(conv, bn, transpose=False):
    """A convolution that computes what ``conv`` and then ``bn`` do in evaluation.

    Raises:
        AssertionError: one of them is in training mode, or there are no running statistics.

    >>> conv, bn = nn.Conv2d(3, 4, 3).eval(), nn.BatchNorm2d(4).eval()
    >>> x = fd.randn(1, 3, 5, 5)
    >>> bool(fd.allclose(nn.utils.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-5))
    True
    """
    _check_evaluation(conv, bn)
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_linear_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b):
    """Weight and bias of the linear layer that a linear layer and a batch norm after it are; arguments as
    :func:`fuse_conv_bn_weights`."""
    return _fused(linear_w, linear_b, (-1, 1), bn_rm, bn_rv, bn_eps, bn_w, bn_b)


def fuse_linear_bn_eval(linear, bn):
    """A linear layer that computes what ``linear`` and then ``bn`` do in evaluation.

    Raises:
        AssertionError: one of them is in training mode, there are no running statistics, or the sizes do not fit.

    >>> linear, bn = nn.Linear(3, 4).eval(), nn.BatchNorm1d(4).eval()
    >>> x = fd.randn(2, 3)
    >>> bool(fd.allclose(nn.utils.fuse_linear_bn_eval(linear, bn)(x), bn(linear(x)), atol=1e-5))
    True
    """
    _check_evaluation(linear, bn)
    if bn.num_features not in (linear.out_features, 1):
        raise AssertionError(f"fusion: {linear.out_features} outputs, but a batch norm of {bn.num_features}")
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused
