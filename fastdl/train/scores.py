"""How good predictions are."""

import fastdl as fd
from fastdl.extras import require


def accuracy(logits, target):
    """Fraction of rows whose largest logit is at the target.

    Args:
        logits: (N, classes).
        target: (N,), int64.

    Returns:
        float in [0, 1].

    Example:
        >>> import fastdl as fd
        >>> accuracy(fd.tensor([[2.0, 1.0], [0.0, 3.0]]), fd.tensor([0, 0]))
        0.5
    """
    return (logits.argmax(1) == target).sum().item() / max(len(target), 1)


def confusion(classes):
    """A metric for ``Trainer``: the confusion matrix of a batch, from which ``class_scores`` has the running scores.

    Args:
        classes: number of classes.

    Returns:
        Function of (N, classes) logits and (N,) targets; gives a float64 tensor (classes, classes) of shares that sum
        to 1; row: true class, column: predicted class.

    Example:
        >>> import fastdl as fd
        >>> confusion(2)(fd.tensor([[2.0, 1.0], [0.0, 3.0]]), fd.tensor([0, 0])).tolist()
        [[0.5, 0.5], [0.0, 0.0]]
    """

    def shares(logits, target):
        cells = (target * classes + logits.argmax(1)).cpu()
        return fd.bincount(cells, minlength=classes * classes).reshape(classes, classes).to(fd.float64) / len(target)

    return shares


def class_scores(means):
    """For ``Trainer(metrics={"confusion": confusion(n)}, summarize=class_scores)``: scores of all samples so far.

    Batches' own precisions have no meaningful mean (a class may be absent); these come from the joint confusion matrix.

    Args:
        means: dictionary with ``confusion``, and others that stay as they are.

    Returns:
        The others, ``accuracy``, and the macro averages ``precision``, ``recall``, ``f1`` over the classes that occur in
        the targets or the predictions.

    Source: ``sklearn.metrics.precision_recall_fscore_support(average="macro", zero_division=0)``.

    Example:
        >>> import fastdl as fd
        >>> scores = class_scores({"loss": 0.7, "confusion": fd.tensor([[1, 1], [0, 2]])})
        >>> {name: round(value, 4) for name, value in scores.items()}
        {'loss': 0.7, 'accuracy': 0.75, 'precision': 0.8333, 'recall': 0.75, 'f1': 0.7333}
    """
    scores = dict(means)
    rows = scores.pop("confusion").tolist()
    right = [row[i] for i, row in enumerate(rows)]
    pairs = list(zip(right, map(sum, rows), map(sum, zip(*rows))))  # right, true, predicted of each class
    pairs = [pair for pair in pairs if pair[1] or pair[2]]
    means_over_classes = {
        "accuracy": sum(right) / sum(map(sum, rows)),
        "precision": sum(hits / found for hits, _, found in pairs if found) / len(pairs),
        "recall": sum(hits / true for hits, true, _ in pairs if true) / len(pairs),
        "f1": sum(2 * hits / (true + found) for hits, true, found in pairs) / len(pairs),
    }
    return {**scores, **means_over_classes}


def classification_scores(target, predicted, classes):
    """Accuracy, macro-averaged precision, recall and F1, and the confusion matrix.

    A class that is never predicted has precision 0.

    Args:
        target, predicted: (N,), labels from 0 to classes - 1; arrays or sequences.
        classes: number of classes.

    Returns:
        Dictionary with ``accuracy``, ``precision``, ``recall``, ``f1`` (floats) and ``confusion`` (list of rows; row:
        true class, column: predicted class).

    Raises:
        ImportError: scikit-learn is not installed.

    Source: ``sklearn.metrics.precision_recall_fscore_support(average="macro")``.

    Example:
        >>> scores = classification_scores([0, 0, 1, 1], [0, 1, 1, 1], classes=2)
        >>> scores["accuracy"], scores["confusion"]
        (0.75, [[1, 1], [0, 2]])
    """
    metrics = require("sklearn.metrics", "scores of predictions")
    labels = list(range(classes))
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        target, predicted, labels=labels, average="macro", zero_division=0
    )
    return {
        "accuracy": float(metrics.accuracy_score(target, predicted)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "confusion": metrics.confusion_matrix(target, predicted, labels=labels).tolist(),
    }
