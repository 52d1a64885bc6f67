"""Connectionist temporal classification: the likelihood of a label sequence, summed over its alignments."""

import fastdl
from fastdl.autograd import Function, no_grad
from fastdl.nn.functional.loss import reduction_from

__all__ = [
    "ctc_loss",
]

_NEVER = float("-inf")


def _logsumexp(*terms):
    """log(sum of exp), elementwise, of tensors whose elements may be -inf."""
    largest = terms[0]
    for t in terms[1:]:
        largest = fastdl.maximum(largest, t)
    base = largest.masked_fill(largest == _NEVER, 0.0)
    return sum((t - base).exp() for t in terms).log() + base


def _shifted(x, by):
    """x moved by places along the last dimension, with -inf coming in."""
    count = min(abs(by), x.shape[-1])
    never = fastdl.full((*x.shape[:-1], count), _NEVER, dtype=x.dtype, device=x.device)
    return fastdl.cat((never, x[..., :-by]) if by > 0 else (x[..., -by:], never), -1)


class _Alignments(Function):
    """-log p(labels | log_probs) of each sample, (N,).

    The labels with blanks around each make 2 S + 1 states. alpha_t(s) is the log-probability of being in state s after t
    steps, beta_t(s) that of what is left from there: each step stays, moves on, or skips a blank between two labels that
    differ. The gradient is that of the logits of which log_probs is the log-softmax: p - (the states' posteriors).
    """

    @staticmethod
    def forward(ctx, log_probs, labels, steps, counts, blank):
        time, n, _ = log_probs.shape
        states = fastdl.full((n, 2 * labels.shape[1] + 1), blank, dtype=fastdl.int64, device=log_probs.device)
        states[:, 1::2] = labels
        place = fastdl.arange(states.shape[1], device=log_probs.device)
        # A label after another one that differs can be reached past the blank; the first two states can start.
        skips = fastdl.zeros_like(states) != 0
        skips[:, 2:] = (states[:, 2:] != states[:, :-2]) & (states[:, 2:] != blank)
        never = fastdl.full((n, states.shape[1]), _NEVER, dtype=log_probs.dtype, device=log_probs.device)
        emitted = log_probs.gather(2, states.unsqueeze(0).expand(time, *states.shape))
        lasts = 2 * counts.unsqueeze(1)  # the state of the last blank
        ends = (place == lasts) | ((place == lasts - 1) & (lasts > 0))
        alpha = [fastdl.where((place < 2).expand(n, -1), emitted[0], never)]
        for t in range(1, time):
            before = alpha[-1]
            skipped = fastdl.where(skips, _shifted(before, 2), never)
            alpha.append(_logsumexp(before, _shifted(before, 1), skipped) + emitted[t])
        alpha = fastdl.stack(alpha)
        last = alpha.gather(0, (steps - 1).clamp(min=0).view(1, n, 1).expand(1, *states.shape)).squeeze(0)
        loss = -fastdl.where(ends, last, never).logsumexp(1)
        # No step at all fits no label, and only no label.
        loss = fastdl.where(steps > 0, loss, fastdl.where(counts > 0, -_NEVER, 0.0).to(loss.dtype))
        ctx.save_for_backward(log_probs, states, skips, ends, emitted, alpha, steps, loss)
        return loss

    @staticmethod
    def backward(ctx, grad):
        log_probs, states, skips, ends, emitted, alpha, steps, loss = ctx.saved_tensors
        time, n, _ = log_probs.shape
        with no_grad():
            never = fastdl.full(states.shape, _NEVER, dtype=log_probs.dtype, device=log_probs.device)
            from_skips = fastdl.zeros_like(skips)
            from_skips[:, :-2] = skips[:, 2:]
            beta, betas = never, []
            for t in reversed(range(time)):
                skipped = fastdl.where(from_skips, _shifted(beta, -2), never)
                going_on = _logsumexp(beta, _shifted(beta, -1), skipped)
                at_end = (steps == t + 1).unsqueeze(1)
                going_on = fastdl.where(at_end, fastdl.where(ends, fastdl.zeros_like(never), never), going_on)
                going_on = fastdl.where((steps > t).unsqueeze(1), going_on, never)
                betas.append(going_on)
                beta = going_on + emitted[t]
            beta = fastdl.stack(betas[::-1])
            possible = fastdl.isfinite(loss)
            shift = loss.masked_fill(~possible, 0.0).view(1, n, 1)
            posterior = (alpha + beta + shift).exp()
            index = states.unsqueeze(0).expand(time, *states.shape)
            gradient = log_probs.exp().scatter_add(2, index, -posterior) * grad.view(1, n, 1)
            within = fastdl.arange(time, device=log_probs.device).view(-1, 1, 1) < steps.view(1, n, 1)
            gradient = fastdl.where(within, gradient, fastdl.zeros_like(gradient))
            # Without an alignment there is no posterior: NaN, or with a zero gradient zero.
            hopeless = (~possible & (grad != 0)).view(1, n, 1) & within
            gradient = gradient.masked_fill(hopeless.expand(*gradient.shape), float("nan"))
            gradient = fastdl.where((grad == 0).view(1, n, 1), fastdl.zeros_like(gradient), gradient)
        return gradient, None, None, None, None


def _lengths(what, lengths, n, most, device):
    lengths = fastdl.as_tensor(lengths).to(fastdl.int64).reshape(-1).to(device=device)
    if tuple(lengths.shape) != (n,):
        raise fastdl.ShapeError(f"ctc_loss: {what} {list(lengths.shape)}, expected one for each of {n} samples")
    if n and (int(lengths.amin()) < 0 or int(lengths.amax()) > most):
        raise fastdl.ValueError(
            f"ctc_loss: {what} from {int(lengths.amin())} to {int(lengths.amax())}, expected 0 to {most}"
        )
    return lengths


def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False):
    """-log of the probability of the targets, summed over all ways to spread them over the input's steps.

    Args:
        log_probs: log-softmax of the network's outputs, (T, N, C) or (T, C).
        targets: labels (N, S), or of all samples one after the other (sum of target_lengths,); not the blank.
        input_lengths, target_lengths: the samples' steps, at most T, and labels; (N,) tensors or tuples, or ().
        blank: the class that stands for no label.
        reduction: 'none' | 'mean' (each loss over its target length, then the mean) | 'sum'.
        zero_infinity: losses without any alignment (inputs that are too short) are 0 instead of inf.

    The gradient is that of the logits of which log_probs is the log-softmax, as in PyTorch.

    Raises:
        ShapeError: targets or lengths do not fit. ValueError: lengths out of range. IndexError: a label or the blank out
            of range.

    Graves et al., "Connectionist temporal classification", 2006.

    >>> F.ctc_loss(fd.zeros(1, 1, 2).log_softmax(-1), fd.tensor([[1]]), fd.tensor([1]), fd.tensor([1]))
    tensor(0.6931)
    """
    if log_probs.ndim not in (2, 3):
        raise fastdl.ShapeError(f"ctc_loss: expected log_probs of [T, N, C] or [T, C], got {list(log_probs.shape)}")
    if not log_probs.is_floating_point():
        raise fastdl.DTypeError(f"ctc_loss: log_probs must hold floating-point numbers, got {log_probs.dtype}")
    if targets.is_floating_point():
        raise fastdl.DTypeError(f"ctc_loss: targets must hold integers, got {targets.dtype}")
    batched = log_probs.ndim == 3
    if not batched:
        log_probs = log_probs.unsqueeze(1)
        targets = targets.unsqueeze(0) if targets.ndim == 1 else targets
    time, n, classes = log_probs.shape
    if time == 0:
        raise fastdl.ShapeError(f"ctc_loss: log_probs {list(log_probs.shape)} has no steps")
    if not 0 <= blank < classes:
        raise fastdl.IndexError(f"ctc_loss: blank {blank} is not one of {classes} classes")
    steps = _lengths("input_lengths", input_lengths, n, time, log_probs.device)
    most = targets.shape[-1]
    counts = _lengths("target_lengths", target_lengths, n, most, log_probs.device)
    if (targets.ndim == 2 and targets.shape[0] != n) or targets.ndim not in (1, 2):
        raise fastdl.ShapeError(f"ctc_loss: targets {list(targets.shape)} for log_probs {list(log_probs.shape)}")
    labels, longest = targets.to(fastdl.int64), int(counts.amax()) if n else 0
    if targets.ndim == 1:
        if int(counts.sum()) != most:
            raise fastdl.ShapeError(f"ctc_loss: {most} targets for target_lengths that add up to {int(counts.sum())}")
        place = (counts.cumsum(0) - counts).unsqueeze(1) + fastdl.arange(longest, device=log_probs.device)
        labels = labels[place.clamp(max=max(most - 1, 0))] if longest else labels.new_zeros(n, 0)
    within = fastdl.arange(longest, device=log_probs.device) < counts.unsqueeze(1)
    labels = labels[:, :longest].masked_fill(~within, blank)
    if labels.numel() and (int(labels.amin()) < 0 or int(labels.amax()) >= classes):
        raise fastdl.IndexError(
            f"ctc_loss: labels from {int(labels.amin())} to {int(labels.amax())}, expected 0 to {classes - 1}"
        )
    loss = _Alignments.apply(log_probs, labels, steps, counts, blank)
    if zero_infinity:
        loss = fastdl.where(loss == -_NEVER, fastdl.zeros_like(loss), loss)
    reduction = reduction_from(None, None, reduction)
    if reduction == "mean":
        return (loss / counts.clamp(min=1).to(loss.dtype)).mean()
    if reduction == "sum":
        return loss.sum()
    if reduction != "none":
        raise fastdl.ValueError(f"ctc_loss: reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    return loss if batched else loss.squeeze(0)
