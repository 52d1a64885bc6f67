"""Modules called with other parameters than their own."""

import fastdl

__all__ = ["functional_call"]


def functional_call(module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False):
    """Calls the module with these tensors in place of its parameters and buffers of the same paths.

    Args:
        parameters_and_buffers: tensors by path, as ``state_dict()`` has them; they may have history.
        args, kwargs: of the call; a single argument needs no tuple.
        tie_weights: a tensor that the module has under several paths is replaced at all of them.
        strict: every parameter and buffer must be given, and nothing else.

    Raises:
        Error (a RuntimeError): with strict, the missing and the unexpected paths. ValueError: two values for tied tensors.
        AttributeError: a path that leads nowhere.

    >>> layer, w = nn.Linear(2, 1, bias=False), fd.ones(1, 2, requires_grad=True)
    >>> nn.utils.stateless.functional_call(layer, {"weight": w}, fd.tensor([3.0, 4.0])).tolist()
    [7.0]
    """
    own = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    given = dict(parameters_and_buffers)
    if strict:
        unexpected, missing = sorted(given.keys() - own.keys()), sorted(own.keys() - given.keys())
        if unexpected or missing:
            raise fastdl.Error(
                f"functional_call: {type(module).__name__}: unexpected keys {unexpected}, missing keys {missing}"
            )
    if tie_weights:
        paths = {}
        for path, tensor in own.items():
            paths.setdefault(id(tensor), []).append(path)
        for tied in paths.values():
            values = {id(given[path]) for path in tied if path in given}
            if len(values) > 1:
                raise fastdl.ValueError(f"functional_call: several values for the tied {tied}")
            for path in tied if values else ():
                given[path] = next(given[p] for p in tied if p in given)
    before = []
    try:
        for path, tensor in given.items():
            owner, _, name = path.rpartition(".")
            attributes = module.get_submodule(owner).__dict__
            if name not in attributes:
                raise AttributeError(f"functional_call: {type(module).__name__} has no {path!r}")
            before.append((attributes, name, attributes[name]))
            attributes[name] = tensor
        args = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*args, **(kwargs or {}))
    finally:
        for attributes, name, value in reversed(before):
            attributes[name] = value
