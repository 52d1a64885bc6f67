"""Low-rank adaptation: a frozen linear layer, and a small trained change to it."""

import math

import fastdl
from fastdl.nn import functional as F
from fastdl.nn import init
from fastdl.nn.linear import Linear
from fastdl.nn.parameter import Parameter


class LoRALinear(Linear):
    """y = x W^T + b + (alpha / r) dropout(x) A^T B^T, with W and b frozen.

    Args:
        in_features, out_features, bias: as of :class:`Linear`.
        r: the rank of the change.
        alpha: its scale.
        dropout: of its input, in training.

    Parameters: ``weight`` and ``bias`` as :class:`Linear`'s, without gradient; ``lora_A`` (r, in_features), drawn as
    weights are, and ``lora_B`` (out_features, r), at first 0, so that the layer starts unchanged.

    Raises:
        ValueError: a rank that is not positive.

    Source: Hu et al., "LoRA: low-rank adaptation of large language models", 2022.

    >>> layer = nn.LoRALinear(20, 30, r=4)
    >>> [name for name, p in layer.named_parameters() if p.requires_grad]
    ['lora_A', 'lora_B']
    """

    def __init__(self, in_features, out_features, r=8, alpha=16.0, dropout=0.0, bias=True, device=None, dtype=None):
        if r < 1:
            raise ValueError(f"LoRALinear: r must be positive, got {r}")
        super().__init__(in_features, out_features, bias, device, dtype)
        self.r, self.alpha, self.dropout = r, alpha, dropout
        self.merged = False
        for parameter in self.parameters():
            parameter.requires_grad = False
        self.lora_A = Parameter(fastdl.empty(r, in_features, device=device, dtype=dtype))
        self.lora_B = Parameter(fastdl.zeros(out_features, r, device=device, dtype=dtype))
        init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    @classmethod
    def from_linear(cls, linear, r=8, alpha=16.0, dropout=0.0):
        """The layer around the weight and bias of a :class:`Linear`, which are shared."""
        layer = cls(linear.in_features, linear.out_features, r, alpha, dropout, linear.bias is not None,
                    linear.weight.device, linear.weight.dtype)  # fmt: skip
        layer.weight, layer.bias = linear.weight, linear.bias
        for parameter in (layer.weight, layer.bias):
            if parameter is not None:
                parameter.requires_grad = False
        return layer.train(linear.training)

    def _change(self):
        return (self.lora_B @ self.lora_A) * (self.alpha / self.r)

    def merge(self):
        """Adds the change to the weight: the layer then costs what a Linear does. Returns the layer."""
        if not self.merged:
            with fastdl.no_grad():
                self.weight.add_(self._change())
            self.merged = True
        return self

    def unmerge(self):
        """Takes the change out of the weight again. Returns the layer."""
        if self.merged:
            with fastdl.no_grad():
                self.weight.sub_(self._change())
            self.merged = False
        return self

    def to_linear(self):
        """A :class:`Linear` that computes the same."""
        linear = Linear(
            self.in_features, self.out_features, self.bias is not None, self.weight.device, self.weight.dtype
        )
        with fastdl.no_grad():
            linear.weight.copy_(self.weight if self.merged else self.weight + self._change())
            if self.bias is not None:
                linear.bias.copy_(self.bias)
        return linear.train(self.training)

    def forward(self, input):
        y = F.linear(input, self.weight, self.bias)
        if self.merged:
            return y
        low = F.linear(F.dropout(input, self.dropout, self.training), self.lora_A)
        return y + F.linear(low, self.lora_B) * (self.alpha / self.r)

    def extra_repr(self):
        return f"{super().extra_repr()}, r={self.r}, alpha={self.alpha}" + (", merged=True" if self.merged else "")


def _replace(module, wanted, make, path=""):
    count = 0
    for name, child in list(module.named_children()):
        where = f"{path}.{name}" if path else name
        if wanted(where, child):
            setattr(module, name, make(child))
            count += 1
        else:
            count += _replace(child, wanted, make, where)
    return count


def add_lora(module, r=8, alpha=16.0, dropout=0.0, targets=None):
    """Freezes all parameters of the module and replaces its linear layers by :class:`LoRALinear` around them.

    Args:
        r, alpha, dropout: as of :class:`LoRALinear`.
        targets: the last names of the layers' paths to replace, such as ("q_proj", "v_proj"); None: all.

    Returns:
        The module, changed in place. Only ``lora_A`` and ``lora_B`` are trained.

    Raises:
        ValueError: there is no such layer; nothing is changed then.

    >>> net = nn.add_lora(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), r=2)
    >>> sum(p.numel() for p in net.parameters() if p.requires_grad)
    44
    """

    def wanted(path, child):
        return type(child) is Linear and (targets is None or path.rpartition(".")[2] in targets)

    if not any(wanted(path, child) for path, child in module.named_modules()):
        raise ValueError(f"add_lora: {type(module).__name__} has no Linear" + (f" named {targets}" if targets else ""))
    module.requires_grad_(False)
    _replace(module, wanted, lambda child: LoRALinear.from_linear(child, r, alpha, dropout))
    return module


def merge_lora(module):
    """Replaces every :class:`LoRALinear` in the module by the :class:`Linear` that computes the same; returns the module.

    >>> net = nn.merge_lora(nn.add_lora(nn.Sequential(nn.Linear(4, 8))))
    >>> type(net[0]).__name__
    'Linear'
    """
    _replace(module, lambda _, child: isinstance(child, LoRALinear), LoRALinear.to_linear)
    return module


def lora_state_dict(module):
    """The trained part of the module's state alone, ``lora_A`` and ``lora_B`` by path; load it with ``strict=False``.

    >>> list(nn.lora_state_dict(nn.add_lora(nn.Sequential(nn.Linear(4, 8)))))
    ['0.lora_A', '0.lora_B']
    """
    return {k: v for k, v in module.state_dict().items() if k.rpartition(".")[2] in ("lora_A", "lora_B")}
