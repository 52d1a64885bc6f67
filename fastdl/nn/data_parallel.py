"""A module behind the name ``module``, as checkpoints of data-parallel training have it."""

from fastdl.nn.module import Module


class DataParallel(Module):
    """Calls ``module``: one device does all the work, and results are those of several.

    Args:
        module: what is called; its parameters' names begin with ``module.``.
        device_ids, output_device, dim: accepted; there is one device.

    >>> list(nn.DataParallel(nn.Linear(2, 3)).state_dict())
    ['module.weight', 'module.bias']
    """

    def __init__(self, module, device_ids=None, output_device=None, dim=0):
        super().__init__()
        self.device_ids, self.output_device, self.dim = list(device_ids or ()), output_device, dim
        self.module = module

    def forward(self, *inputs, **kwargs):
        return self.module(*inputs, **kwargs)
