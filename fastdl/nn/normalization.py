"""Normalization: each group of elements to mean 0 and variance 1, then scaled and shifted by parameters."""

import fastdl
from fastdl.nn import functional as F
from fastdl.nn import init
from fastdl.nn.module import Module
from fastdl.nn.parameter import Parameter


class _RunningNorm(Module):
    """What batch and instance norm share: the parameters and the running statistics."""

    def __init__(self, num_features, eps, momentum, affine, track_running_stats, device, dtype, bias):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats

        def new(value):
            return fastdl.full((num_features,), value, device=device, dtype=dtype or fastdl.get_default_dtype())

        self.register_parameter("weight", Parameter(new(1.0)) if affine else None)
        self.register_parameter("bias", Parameter(new(0.0)) if affine and bias else None)
        self.register_buffer("running_mean", new(0.0) if track_running_stats else None)
        self.register_buffer("running_var", new(1.0) if track_running_stats else None)
        batches = fastdl.zeros((), dtype=fastdl.int64, device=device) if track_running_stats else None
        self.register_buffer("num_batches_tracked", batches)

    def reset_running_stats(self):
        """Forgets the running statistics."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        """Weight 1, bias 0, and no running statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_ndim(self, input, allowed):
        if input.ndim not in allowed:
            expected = " or ".join(f"{n}D" for n in allowed)
            raise fastdl.ShapeError(f"{type(self).__name__}: expected {expected} input, got {list(input.shape)}")

    def extra_repr(self):
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_RunningNorm):
    _dims = ()

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None, dtype=None,
                 *, bias=True):  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input):
        self._check_ndim(input, self._dims)
        factor = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the cumulative mean
                factor = 1.0 / float(self.num_batches_tracked)
        track = self.track_running_stats or not self.training
        return F.batch_norm(
            input,
            self.running_mean if track else None,
            self.running_var if track else None,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            factor,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, each channel over the batch and the sequence.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: the new batch's share of the running statistics; None is the mean of all batches.
        affine: whether there are weight and, unless ``bias=False``, bias.
        track_running_stats: keep running statistics, which evaluation uses in place of the batch's.

    Shapes: x and y (N, C) or (N, C, L). Parameters ``weight`` (1) and ``bias`` (0); buffers ``running_mean``,
    ``running_var`` (unbiased), ``num_batches_tracked``.

    Raises:
        ShapeError: x has another number of dimensions or channels. ValueError: training with one value a channel.

    Source: Ioffe and Szegedy, "Batch normalization", 2015.

    >>> nn.BatchNorm1d(3)(fd.randn(8, 3)).shape
    (8, 3)
    """

    _dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, each channel over the batch and the image.

    Arguments, parameters and buffers as :class:`BatchNorm1d`. Shapes: x and y (N, C, H, W).

    Source: Ioffe and Szegedy, "Batch normalization", 2015.

    >>> nn.BatchNorm2d(3)(fd.randn(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    _dims = (4,)


class BatchNorm3d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, each channel over the batch and the volume.

    Arguments, parameters and buffers as :class:`BatchNorm1d`. Shapes: x and y (N, C, D, H, W).

    Source: Ioffe and Szegedy, "Batch normalization", 2015.

    >>> nn.BatchNorm3d(3)(fd.randn(2, 3, 4, 4, 2)).shape
    (2, 3, 4, 4, 2)
    """

    _dims = (5,)


class SyncBatchNorm(_BatchNorm):
    """Batch norm whose statistics are those of all processes together; in a single process, that one's.

    Arguments, parameters and buffers as :class:`BatchNorm1d`, and:
        process_group: must be None, the single process.

    Shapes: x and y (N, C, *).

    >>> nn.SyncBatchNorm(3)(fd.randn(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    _dims = tuple(range(2, 10))

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, process_group=None,
                 device=None, dtype=None, *, bias=True):  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        if process_group is not None:
            raise ValueError("SyncBatchNorm: process groups are not supported, process_group must be None")
        self.process_group = None

    @classmethod
    def convert_sync_batchnorm(cls, module, process_group=None):
        """The module with every batch norm in it replaced by a SyncBatchNorm over the same parameters and buffers.

        >>> net = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
        >>> type(net[1]).__name__
        'SyncBatchNorm'
        """
        if isinstance(module, _BatchNorm) and not isinstance(module, cls):
            new = cls(module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats,
                      process_group, bias=module.bias is not None)  # fmt: skip
            for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                setattr(new, name, getattr(module, name))
            return new.train(module.training)
        for name, child in list(module.named_children()):
            setattr(module, name, cls.convert_sync_batchnorm(child, process_group))
        return module


class _InstanceNorm(_RunningNorm):
    _dims = ()

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=False, track_running_stats=False, device=None,
                 dtype=None, *, bias=True):  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input):
        self._check_ndim(input, self._dims)
        batched = input if input.ndim == self._dims[1] else input.unsqueeze(0)
        if batched.shape[1] != self.num_features:
            raise fastdl.ShapeError(
                f"{type(self).__name__}: input {list(input.shape)} needs {self.num_features} channels, got {batched.shape[1]}"
            )
        y = F.instance_norm(
            batched,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return y if batched is input else y.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, each channel of each sample over the sequence.

    Arguments as :class:`BatchNorm1d`, but neither parameters nor running statistics unless asked for.
    Shapes: x and y (N, C, L) or (C, L).

    Source: Ulyanov et al., "Instance normalization", 2016.

    >>> nn.InstanceNorm1d(3)(fd.randn(2, 3, 5)).shape
    (2, 3, 5)
    """

    _dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, each channel of each sample over the image.

    Arguments as :class:`BatchNorm1d`, but neither parameters nor running statistics unless asked for.
    Shapes: x and y (N, C, H, W) or (C, H, W).

    Source: Ulyanov et al., "Instance normalization", 2016.

    >>> nn.InstanceNorm2d(3)(fd.randn(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    _dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, each channel of each sample over the volume.

    Arguments as :class:`BatchNorm1d`, but neither parameters nor running statistics unless asked for.
    Shapes: x and y (N, C, D, H, W) or (C, D, H, W).

    Source: Ulyanov et al., "Instance normalization", 2016.

    >>> nn.InstanceNorm3d(3)(fd.randn(2, 3, 4, 4, 2)).shape
    (2, 3, 4, 4, 2)
    """

    _dims = (4, 5)


class LocalResponseNorm(Module):
    """y = x / (k + alpha mean of x^2 over ``size`` channels around)^beta, channels outside counting as zeros.

    Shapes: x and y (N, C, *).

    Raises:
        ShapeError: fewer than 3 dimensions.

    Source: Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", 2012.

    >>> nn.LocalResponseNorm(2)(fd.randn(32, 5, 24, 24)).shape
    (32, 5, 24, 24)
    """

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input):
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self):
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """:class:`LocalResponseNorm` of images (N, C, H, W) by its older name.

    PyTorch's sums for channels beyond ``size`` still hold the first channel; these do not.

    >>> nn.CrossMapLRN2d(2)(fd.randn(2, 5, 4, 4)).shape
    (2, 5, 4, 4)
    """

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1):
        super().__init__(size, alpha, beta, k)


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, over the last dimensions.

    Args:
        normalized_shape: their sizes, an int or several.
        eps: added to the variance.
        elementwise_affine: whether there are parameters.
        bias: whether bias is among them.

    Shapes: x and y (*, normalized_shape). Parameters: ``weight`` (1) and ``bias`` (0) of normalized_shape.

    Raises:
        ShapeError: x does not end in normalized_shape.

    Source: Ba et al., "Layer normalization", 2016.

    >>> nn.LayerNorm(10)(fd.randn(20, 5, 10)).shape
    (20, 5, 10)
    """

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, device=None, dtype=None):
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine

        def new():
            return Parameter(fastdl.empty(*self.normalized_shape, device=device, dtype=dtype))

        self.register_parameter("weight", new() if elementwise_affine else None)
        self.register_parameter("bias", new() if elementwise_affine and bias else None)
        self.reset_parameters()

    def reset_parameters(self):
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input):
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"


class RMSNorm(Module):
    """y = x / sqrt(mean(x^2) + eps) * weight, over the last dimensions.

    Args:
        normalized_shape: their sizes, an int or several.
        eps: added to the mean square; the dtype's epsilon when left out.
        elementwise_affine: whether there is ``weight``, of normalized_shape, at first 1.

    Raises:
        ShapeError: x does not end in normalized_shape.

    Source: Zhang and Sennrich, "Root mean square layer normalization", 2019.

    >>> nn.RMSNorm(4)(fd.ones(2, 4)).shape
    (2, 4)
    """

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None):
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        weight = (
            Parameter(fastdl.empty(*self.normalized_shape, device=device, dtype=dtype)) if elementwise_affine else None
        )
        self.register_parameter("weight", weight)
        self.reset_parameters()

    def reset_parameters(self):
        """Weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input):
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, each group of channels of each sample.

    Args:
        num_groups: into how many groups the channels are split.
        num_channels: C.
        eps: added to the variance.
        affine: whether there are ``weight`` (1) and ``bias`` (0), of (C,).

    Shapes: x and y (N, C, *).

    Raises:
        ValueError: num_channels does not divide by num_groups. ShapeError: x has other channels.

    Source: Wu and He, "Group normalization", 2018.

    >>> nn.GroupNorm(3, 6)(fd.randn(2, 6, 10, 10)).shape
    (2, 6, 10, 10)
    """

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, device=None, dtype=None, *, bias=True):
        super().__init__()
        if num_groups <= 0 or num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine

        def new():
            return Parameter(fastdl.empty(num_channels, device=device, dtype=dtype))

        self.register_parameter("weight", new() if affine else None)
        self.register_parameter("bias", new() if affine and bias else None)
        self.reset_parameters()

    def reset_parameters(self):
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input):
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"
