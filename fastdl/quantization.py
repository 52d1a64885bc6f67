"""Models with weights of 8 bits for inference. PyTorch's ``torch.ao.quantization``, as far as it is dynamic."""

import copy

import fastdl
from fastdl import nn
from fastdl.nn.quantized import dynamic

__all__ = ["quantize_dynamic"]

_DYNAMIC = {nn.Linear: dynamic.Linear, nn.Conv2d: dynamic.Conv2d}


def quantize_dynamic(model, qconfig_spec=None, dtype=fastdl.int8, mapping=None, inplace=False):
    """A model whose linear layers and convolutions hold weights of 8 bits and quantise their inputs as they arrive.

    Needs no calibration: weights have one scale an output, inputs one range a row (a patch, in a convolution), found when
    they arrive. Weights take a quarter of the memory; products are sums of integers. (PyTorch's dynamic quantisation takes
    7 bits and one range for the whole input, and leaves convolutions.)

    Args:
        model: any module.
        qconfig_spec: which layers: a set of types of layers and names of submodules; all ``nn.Linear`` and ``nn.Conv2d``
            without groups if it is None.
        dtype: fd.int8.
        mapping: {type of layer: what replaces it, with a ``from_float``}; the two of ``nn.quantized.dynamic`` if None.
        inplace: whether to change `model` itself.

    Returns:
        The quantised model, for inference: its replaced layers give no gradients.

    Raises:
        ValueError: another dtype, a name that is no submodule, a type that nothing replaces, a convolution in groups
        that was named.

    >>> model = quantize_dynamic(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
    >>> type(model[0]).__module__, model(fd.randn(3, 4)).shape
    ('fastdl.nn.quantized.dynamic', (3, 2))
    """
    if dtype != fastdl.int8:
        raise ValueError(f"quantize_dynamic: dtype {dtype} is not supported, only fd.int8")
    mapping = _DYNAMIC if mapping is None else mapping
    chosen = set(mapping) if qconfig_spec is None else set(qconfig_spec)
    types = tuple(c for c in chosen if isinstance(c, type))
    names = {c for c in chosen if isinstance(c, str)}
    if unknown := [t.__name__ for t in types if t not in mapping]:
        raise ValueError(f"quantize_dynamic: nothing replaces {', '.join(sorted(unknown))}")
    if absent := names - {name for name, _ in model.named_modules()}:
        raise ValueError(f"quantize_dynamic: the model has no module {', '.join(sorted(absent))}")
    model = model if inplace else copy.deepcopy(model)

    def replacement(name, module):
        named = name in names
        if type(module) not in mapping or not (named or type(module) in types):
            return None
        if getattr(module, "groups", 1) != 1 and mapping[type(module)] is dynamic.Conv2d and not named:
            return None
        return mapping[type(module)].from_float(module)

    if (whole := replacement("", model)) is not None:
        return whole
    for path, parent in list(model.named_modules()):
        for name, child in list(parent.named_children()):
            quantized = replacement(f"{path}.{name}" if path else name, child)
            if quantized is not None:
                setattr(parent, name, quantized)
    return model
