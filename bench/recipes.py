"""A training step of each recipe. PyTorch runs the recipes' own lines: their classes, with its names in place of ours."""

import importlib
import inspect
import math
import random
from types import SimpleNamespace

import fastdl as fd
from fastdl.models import GPT, RecurrentClassifier, Standardize, gpt
from fastdl.recipes import gan, gpt_char, image_cnn, sentiment_rnn


class Trainer:
    """What a recipe's own training step needs of fastdl.train.Trainer."""

    step = 0

    def __init__(self, model, optimizer, extra_state):
        self.model, self.optimizer = model, optimizer

    def finite(self, name, loss):
        return loss.item()


def recipe_classes(library):
    """The recipes' classes as they stand in fastdl, with the names fd, nn, F and optim of fastdl or torch."""
    nn, functional, packing, optim, _ = (
        importlib.import_module(f"{library.__name__}.{name}")
        for name in ("nn", "nn.functional", "nn.utils.rnn", "optim", "optim.swa_utils")
    )
    if library is not fd:
        nn = SimpleNamespace(**vars(nn), RotaryEmbedding=rotary_embedding(library))
    classes = {
        "fd": library, "nn": nn, "F": functional, "optim": optim, "math": math, "Trainer": Trainer,
        "CLASSES": image_cnn.CLASSES, "pack_padded_sequence": packing.pack_padded_sequence,
        "pad_packed_sequence": packing.pad_packed_sequence,
    }  # fmt: skip
    for definition in (
        Standardize, image_cnn.block, image_cnn.Residual, image_cnn.ResidualCNN,
        gan.Generator, gan.Critic, gan.AdversarialTrainer,
        gpt._Attention, gpt._Block, GPT,
        RecurrentClassifier,
    ):  # fmt: skip
        exec(inspect.getsource(definition), classes)
    return SimpleNamespace(**classes)


def rotary_embedding(torch):
    """PyTorch has no such layer: this is the usual way to write it there."""

    class RotaryEmbedding(torch.nn.Module):
        def __init__(self, dim, length):
            super().__init__()
            angles = torch.arange(length)[:, None] * 10000.0 ** (-torch.arange(0, dim, 2) / dim)
            self.register_buffer("cos", angles.cos())
            self.register_buffer("sin", angles.sin())

        def forward(self, x):
            a, b = x.chunk(2, -1)
            return torch.cat((a * self.cos - b * self.sin, b * self.cos + a * self.sin), -1)

    return RotaryEmbedding


def optimizer_step(library, model, loss_of, captured=False, clip=True):
    optimizer = library.optim.AdamW(model.parameters(), lr=1e-3, **({} if library is fd else {"fused": True}))

    def step():
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        if clip:
            library.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    step = library.capture(step) if captured and library is fd else step
    return lambda: step().item()


def image_cnn_step(library):
    settings = image_cnn.DEFAULTS
    model = recipe_classes(library).ResidualCNN(**settings["model"])
    images = library.randint(0, 256, (settings["batch_size"], 1, 28, 28), dtype=library.uint8)
    labels = library.randint(0, 10, (settings["batch_size"],))
    loss = library.nn.CrossEntropyLoss(label_smoothing=settings["label_smoothing"])
    return optimizer_step(library, model, lambda model: loss(model(images), labels), clip=False)


def gan_step(library):
    settings, classes = gan.DEFAULTS, recipe_classes(library)
    generator, critic = classes.Generator(settings["latent"], settings["width"]), classes.Critic(settings["width"])
    swa = library.optim.swa_utils
    average = swa.AveragedModel(generator, multi_avg_fn=swa.get_ema_multi_avg_fn(settings["average"]), use_buffers=True)
    trainer = classes.AdversarialTrainer(generator, critic, average, None, settings)
    images = library.randint(0, 256, (settings["batch_size"], 1, 28, 28), dtype=library.uint8)

    def four_steps():  # one of them with the penalty
        for trainer.step in range(settings["penalty_every"]):
            trainer.train_step(images, None)

    return four_steps


def gpt_char_step(library):
    settings, characters = gpt_char.DEFAULTS, 84
    model = recipe_classes(library).GPT(characters, **settings["model"])
    shape = (settings["batch_size"], settings["model"]["context"])
    tokens, targets = library.randint(0, characters, shape), library.randint(0, characters, shape)
    cross_entropy = library.nn.functional.cross_entropy
    loss = lambda model: cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
    return optimizer_step(library, model, loss, captured=True)


def sentiment_rnn_step(library):
    settings, pieces, longest = sentiment_rnn.DEFAULTS, 30522, 60
    model = recipe_classes(library).RecurrentClassifier(pieces, 2, 384, **settings["model"])
    draw = random.Random(0)
    lengths = [draw.randint(5, longest) for _ in range(settings["batch_size"])]
    words = library.tensor([[draw.randint(1, pieces - 1) for _ in range(n)] + [0] * (longest - n) for n in lengths])
    shares = library.full((len(lengths), 2), 0.5)
    cross_entropy = library.nn.functional.cross_entropy
    return optimizer_step(library, model, lambda model: cross_entropy(model(words), shares))


STEPS = {
    "recipe image-cnn": image_cnn_step,
    "recipe gan, 4 steps": gan_step,
    "recipe gpt-char": gpt_char_step,
    "recipe sentiment-rnn": sentiment_rnn_step,
}
