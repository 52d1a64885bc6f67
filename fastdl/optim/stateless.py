"""An optimizer's step on parameters and state that are not its own."""

from collections import defaultdict
from contextlib import contextmanager


@contextmanager
def swap_in_optimizer_params_and_state(optimizer, swapin_parameters, swapin_optim_state):
    """Within it the optimizer has other parameters, options and state; afterwards its own again.

    Args:
        optimizer: whose state must have been made already, by a step.
        swapin_parameters: a dict of tensors, in the order of the optimizer's parameters.
        swapin_optim_state: as ``optimizer.state_dict()`` gives it. Its tensors are changed in place by a step; what is
            assigned to the optimizer's state in the meantime is forgotten.

    Raises:
        RuntimeError: a state or groups of another form than the optimizer's.

    >>> w, other = fd.ones(1, requires_grad=True), fd.zeros(1, requires_grad=True)
    >>> optimizer = fd.optim.Adam([w], lr=0.5)
    >>> w.grad, other.grad = fd.ones(1), fd.ones(1)
    >>> optimizer.step()
    >>> with swap_in_optimizer_params_and_state(optimizer, {"w": other}, optimizer.state_dict()):
    ...     optimizer.step()
    >>> round(w.item(), 4), round(other.item(), 4)
    (0.5, -0.5)
    """
    state, groups = _checked(optimizer, swapin_parameters, swapin_optim_state)
    own_state, own_groups = optimizer.state, [dict(group) for group in optimizer.param_groups]
    parameters = iter(swapin_parameters.values())
    swapped = defaultdict(dict)
    try:
        for mine, group in zip(optimizer.param_groups, groups):
            params = [next(parameters) for _ in group["params"]]
            for p, index in zip(params, group["params"]):
                swapped[p] = dict(state.get(index, {}))
            mine.update(group)
            mine["params"] = params
        optimizer.state = swapped
        yield
    finally:
        for mine, own in zip(optimizer.param_groups, own_groups):
            mine.clear()
            mine.update(own)
        optimizer.state = own_state


def _checked(optimizer, parameters, saved):
    def fail(text):
        raise RuntimeError(f"swap_in_optimizer_params_and_state: {text}")

    if not optimizer.state:
        fail("the optimizer has no state yet, make a step first")
    if not isinstance(saved, dict) or not isinstance(saved.get("state"), dict):
        fail("expected a dict as optimizer.state_dict() gives it, with a dict 'state'")
    state, groups = saved["state"], saved.get("param_groups")
    if not isinstance(groups, list) or len(groups) != len(optimizer.param_groups):
        fail(f"expected {len(optimizer.param_groups)} param_groups, as the optimizer has")
    known = set()
    for i, (mine, group) in enumerate(zip(optimizer.param_groups, groups)):
        if not isinstance(group, dict) or not isinstance(group.get("params"), list):
            fail(f"param_groups[{i}] must be a dict with a list 'params' of indices")
        if not all(isinstance(index, int) for index in group["params"]):
            fail(f"param_groups[{i}]['params'] must be a list of indices")
        if len(group["params"]) != len(mine["params"]):
            fail(f"param_groups[{i}] has {len(group['params'])} params, the optimizer's {len(mine['params'])}")
        if group.keys() != mine.keys():
            fail(f"param_groups[{i}] has the options {sorted(group)}, the optimizer's {sorted(mine)}")
        known.update(group["params"])
    count = sum(len(group["params"]) for group in groups)
    if len(parameters) < count:
        fail(f"{len(parameters)} parameters for {count} in param_groups")
    if unknown := [key for key in state if key not in known]:
        fail(f"the state has entries {unknown} that no group has as params")
    if any(not isinstance(entries, dict) for entries in state.values()):
        fail("the state's entries must be dicts")
    return state, groups
