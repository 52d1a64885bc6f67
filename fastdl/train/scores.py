"""How good predictions are."""

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
