"""L-BFGS."""

import math

import fastdl
from fastdl.autograd import enable_grad, no_grad
from fastdl.optim.optimizer import Optimizer, check_range


class LBFGS(Optimizer):
    """p = p - t H g: H approximates the inverse Hessian from the last ``history_size`` steps and changes of the gradient.

    A step computes the loss several times: ``step(closure)`` needs a function that clears the gradients, computes the
    loss, goes backward and returns the loss. There is one group, whose parameters are treated as one vector.

    Args:
        params: parameters.
        lr: t, where there is no line search.
        max_iter, max_eval: iterations and evaluations of the loss a step; max_eval is 1.25 max_iter if None.
        tolerance_grad: the step ends when no element of the gradient is larger.
        tolerance_change: it ends when the loss, and every parameter, changes by less.
        history_size: steps that H is made from; each keeps two vectors.
        line_search_fn: "strong_wolfe" finds t for the strong Wolfe conditions.

    Raises:
        ValueError: several groups, or an option out of range. RuntimeError: an unknown line search.

    Source: Nocedal and Wright, "Numerical optimization", 2006, algorithms 7.4, 3.5 and 3.6.

    >>> w = fd.tensor([3.0, -2.0], requires_grad=True)
    >>> optimizer = fd.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (w * w * fd.tensor([1.0, 10.0])).sum()
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(closure)
    >>> bool((w.abs() < 1e-4).all())
    True
    """

    def __init__(self, params, lr=1, max_iter=20, max_eval=None, tolerance_grad=1e-7, tolerance_change=1e-9,
                 history_size=100, line_search_fn=None):  # fmt: skip
        check_range("LBFGS", lr=lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group):
        """The one group that there is."""
        if self.param_groups:
            raise ValueError("LBFGS: there can be only one parameter group, its parameters are treated as one vector")
        super().add_param_group(param_group)

    def step(self, closure):
        """Goes on from the present parameters for at most ``max_iter`` iterations.

        Args:
            closure: clears the gradients, computes the loss, goes backward and returns the loss.

        Returns:
            The loss before the step.
        """
        return super().step(closure)

    def _step(self, closure):
        group = self.param_groups[0]
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError(
                f"LBFGS: unknown line search {group['line_search_fn']!r}, only 'strong_wolfe' is supported"
            )
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        with no_grad():
            return self._iterate(closure, group, state)

    def _iterate(self, closure, group, state):
        lr, params = float(group["lr"]), group["params"]
        first_loss, gradient = self._evaluate(closure)
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        iteration = 0
        while iteration < group["max_iter"] and not _largest(gradient) <= group["tolerance_grad"]:
            iteration += 1
            state["n_iter"] += 1
            direction = self._direction(gradient, group, state)
            previous_loss, state["prev_flat_grad"] = loss, gradient
            state["prev_loss"] = loss
            t = lr
            if state["n_iter"] == 1:
                t = min(1.0, 1.0 / gradient.abs().sum().item()) * lr
            slope = gradient.dot(direction).item()
            state["d"], state["t"] = direction, t
            if slope > -group["tolerance_change"]:
                break
            used = 0
            if group["line_search_fn"]:
                start = [p.clone() for p in params]

                def along(t, direction=direction, start=start):
                    self._move(t, direction)
                    loss, gradient = self._evaluate(closure)
                    for p, before in zip(params, start):
                        p.copy_(before)
                    return float(loss), gradient, gradient.dot(direction).item()

                limit = group["max_eval"] - evaluations
                loss, gradient, t, used = strong_wolfe(along, t, loss, gradient, slope, _largest(direction), limit)
                self._move(t, direction)
                state["t"] = t
            else:
                self._move(t, direction)
                if iteration < group["max_iter"]:  # nobody looks at the loss after the last one
                    new_loss, gradient = self._evaluate(closure)
                    loss, used = float(new_loss), 1
            evaluations += used
            state["func_evals"] += used
            if evaluations >= group["max_eval"] or _largest(direction) * abs(t) <= group["tolerance_change"]:
                break
            if abs(loss - previous_loss) < group["tolerance_change"]:
                break
        return first_loss

    def _direction(self, gradient, group, state):
        """- H g by the two loops over the pairs (y, s) of changes, with 1 / (y s) as ro and ys / yy as the scale of H."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -gradient
        changes, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        change, step = gradient - state["prev_flat_grad"], state["d"] * state["t"]
        product = change.dot(step).item()
        if product > 1e-10:
            if len(changes) == group["history_size"]:
                for kept in (changes, steps, ro):
                    kept.pop(0)
            changes.append(change)
            steps.append(step)
            ro.append(1.0 / product)
            state["H_diag"] = product / change.dot(change).item()
        direction = -gradient
        weights = [0.0] * len(changes)
        for i in reversed(range(len(changes))):
            weights[i] = steps[i].dot(direction).item() * ro[i]
            direction.add_(changes[i], alpha=-weights[i])
        direction.mul_(state["H_diag"])
        for i in range(len(changes)):
            direction.add_(steps[i], alpha=weights[i] - changes[i].dot(direction).item() * ro[i])
        return direction

    def _evaluate(self, closure):
        with enable_grad():
            loss = closure()
        params = self.param_groups[0]["params"]
        gradients = [fastdl.zeros_like(p) if p.grad is None else p.grad for p in params]
        return loss, fastdl.cat([g.reshape(-1) for g in gradients])

    def _move(self, t, direction):
        begin = 0
        for p in self.param_groups[0]["params"]:
            p.add_(direction[begin : begin + p.numel()].reshape(p.shape), alpha=t)
            begin += p.numel()


def _largest(vector):
    return vector.abs().max().item() if vector.numel() else 0.0


def _cubic_minimum(x1, f1, g1, x2, f2, g2, low, high):
    """Where the cubic through two points with two slopes is smallest, within [low, high]; their middle if nowhere."""
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if not square >= 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    if x1 <= x2:
        at = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        at = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return min(max(at, low), high)


def strong_wolfe(along, t, loss, gradient, slope, length, max_evaluations, c1=1e-4, c2=0.9, tolerance=1e-9):
    """A step t with loss(t) <= loss + c1 t slope and |slope(t)| <= c2 |slope|.

    Args:
        along: from t to the loss, the gradient and its slope there.
        t: the first guess.
        loss, gradient, slope: at t = 0.
        length: the largest element of the direction.
        max_evaluations: of ``along``.

    Returns:
        The loss, the gradient, t and the number of evaluations.

    >>> strong_wolfe(lambda t: ((t - 3.0) ** 2, None, 2 * (t - 3.0)), 8.0, 9.0, None, -6.0, 1.0, 25)[2]
    3.0
    """
    # A point is (t, loss, gradient, slope).
    start = previous = (0.0, loss, gradient, slope)
    point = (t, *along(t))
    evaluations, found, bracket = 1, False, None
    tries = 0
    while tries < max_evaluations:
        t, value, _, rise = point
        if value > loss + c1 * t * slope or (tries > 1 and value >= previous[1]):
            bracket = [previous, point]
        elif abs(rise) <= -c2 * slope:
            bracket, found = [point, point], True
        elif rise >= 0:
            bracket = [previous, point]
        if bracket:
            break
        further = _cubic_minimum(
            previous[0], previous[1], previous[3], t, value, rise, t + 0.01 * (t - previous[0]), 10 * t
        )
        previous, point = point, (further, *along(further))
        evaluations += 1
        tries += 1
    if bracket is None:
        bracket = [start, point]
    low, high = sorted(bracket, key=lambda point: point[1])
    stuck = False
    while not found and tries < max_evaluations:
        if abs(high[0] - low[0]) * length < tolerance:
            break
        (a, fa, _, ga), (b, fb, _, gb) = low, high
        least, most = min(a, b), max(a, b)
        t = _cubic_minimum(a, fa, ga, b, fb, gb, least, most)
        margin = 0.1 * (most - least)
        if min(most - t, t - least) < margin:  # close to an end: not twice
            if stuck or t >= most or t <= least:
                t = most - margin if abs(t - most) < abs(t - least) else least + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        point = (t, *along(t))
        evaluations += 1
        tries += 1
        if point[1] > loss + c1 * t * slope or point[1] >= low[1]:
            high = point
            if high[1] < low[1]:
                low, high = high, low
        else:
            found = abs(point[3]) <= -c2 * slope
            if not found and point[3] * (high[0] - low[0]) >= 0:
                high = low
            low = point
    return low[1], low[2], low[0], evaluations
