"""Networks: those that ``fastdl train`` uses, pretrained encoders, and how to make one from its configuration."""

from .bert import BertModel
from .convnet import ConvClassifier, Standardize
from .gpt import GPT
from .recurrent import RecurrentClassifier
from .sentence import SentenceEncoder

MODELS = {"BertModel": BertModel, "ConvClassifier": ConvClassifier, "GPT": GPT,
          "RecurrentClassifier": RecurrentClassifier}  # fmt: skip


def build(config):
    """Make a model from ``{"type": name, **arguments}``.

    Args:
        config: dictionary; ``type`` is a key of ``MODELS``, the rest are the model's arguments.

    Raises:
        ValueError: there is no such model, or it does not take these arguments.

    Example:
        >>> model = build({"type": "ConvClassifier", "image_size": [8, 8], "classes": 10, "widths": [8]})
        >>> sorted(model.config)[:3]
        ['classes', 'dropout', 'image_size']
    """
    arguments = dict(config)
    kind = arguments.pop("type", None)
    if kind not in MODELS:
        raise ValueError(f"build: there is no model {kind!r}; expected one of {', '.join(MODELS)}")
    try:
        return MODELS[kind](**arguments)
    except TypeError as error:
        raise ValueError(f"build: {kind} does not take these arguments: {error}") from error


__all__ = [
    "GPT",
    "MODELS",
    "BertModel",
    "ConvClassifier",
    "RecurrentClassifier",
    "SentenceEncoder",
    "Standardize",
    "build",
]
