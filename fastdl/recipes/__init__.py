"""Recipes: complete trainings on real data, each in one file that reads from top to bottom; ``fastdl train NAME``.

A recipe is a module with

- ``DEFAULTS``: its settings, at least ``epochs``, ``batch_size`` and ``lr``; they go to the run's ``config.json``, where
  options of the command replace them;
- ``train(run)``: data, model, training and results, given a :class:`fastdl.train.Run`. Returns the metrics, or None if
  Ctrl-C interrupted it;
- where ``fastdl predict`` can use the model: ``build_model(config)``, the untrained network of a run's ``config.json``.
"""

from importlib import import_module

# Name -> what it is. The module has the same name, with _ for -.
RECIPES = {
    "digits": "a small convolutional network on handwritten digits (the default)",
    "fashion-mnist": "a small convolutional network on Fashion-MNIST",
    "image-cnn": "a residual network on Fashion-MNIST, with augmentation",
    "gan": "a DCGAN that makes images of clothes, from Fashion-MNIST",
    "gpt-char": "a transformer that learns to write, character by character, from Shakespeare",
    "sentiment-rnn": "a bidirectional LSTM that tells good from bad in snippets of movie reviews",
}


def load_recipe(name):
    """The module of a recipe.

    Args:
        name: a key of ``RECIPES``.

    Raises:
        ValueError: there is no such recipe.

    Example:
        >>> load_recipe("digits").DEFAULTS["batch_size"]
        64
    """
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}; expected one of {', '.join(RECIPES)}")
    return import_module(f"{__name__}.{name.replace('-', '_')}")


__all__ = ["RECIPES", "load_recipe"]
