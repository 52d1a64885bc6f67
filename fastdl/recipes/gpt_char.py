"""A language model of characters: reads Shakespeare (or any text) and learns which character comes next.

The model is a small decoder-only transformer (``fastdl.models.GPT``). It sees windows of the text; at each place of a
window it predicts the next character from those before it, so one window is as many exercises as it has characters.
AdamW fits it, with a warm-up and a cosine decay of the learning rate, and gradients clipped to norm 1. What it has
learned is measured on the last twentieth of the text, two plays that it never saw: the mean of -log p(next character), in
nats; its exponential, the perplexity, is how many characters the model hesitates between.

    fastdl train gpt-char
    fastdl train gpt-char --data-dir my-text.txt
    fastdl generate runs/gpt-char --prompt "To be"
"""

import math

import fastdl as fd
from fastdl import nn, optim
from fastdl.data import DataLoader, RandomSampler, TensorDataset
from fastdl.datasets import read_text, shakespeare
from fastdl.models import build
from fastdl.nn import functional as F
from fastdl.train import Trainer

DEFAULTS = {
    "epochs": 8,
    "windows": 8192,  # of an epoch, drawn from the text: an epoch is a million characters
    "batch_size": 16,
    "lr": 2e-3,  # the highest of the schedule
    "weight_decay": 0.1,
    "model": {"context": 128, "layers": 4, "width": 192, "heads": 6},
}
VALIDATION = 0.05  # share of the text, at its end


class Characters:
    """Numbers for characters and back.

    Args:
        characters: str with each character once; a character's number is its place.

    >>> characters = Characters("abc")
    >>> characters.encode("cab"), characters.decode([1, 1])
    ([2, 0, 1], 'bb')
    """

    def __init__(self, characters):
        self.characters = characters
        self.numbers = {character: number for number, character in enumerate(characters)}

    def encode(self, text):
        """List of numbers.

        Raises:
            ValueError: characters that have none; all are named.
        """
        unknown = sorted(set(text) - self.numbers.keys())
        if unknown:
            raise ValueError(f"the model does not know the characters {', '.join(map(repr, unknown))}")
        return [self.numbers[character] for character in text]

    def decode(self, numbers):
        """The text of a list of numbers."""
        return "".join(self.characters[number] for number in numbers)


def build_model(config):
    return build(config["model"])


def windows_of(tokens, context):
    """Dataset of (context tokens, the next token of each), without overlap; the text's last few may be left out."""
    count = (len(tokens) - 1) // context
    if count < 1:
        raise ValueError(
            f"the text is too short: its training and its validation part need at least {context + 1} characters each, "
            f"one has {len(tokens)}"
        )
    inputs, targets = (tokens[start : start + count * context].reshape(count, context) for start in (0, 1))
    return TensorDataset(inputs, targets)


def loss_fn(logits, target):
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


class CapturedTrainer(Trainer):
    """Trains by a captured step: recorded once, then replayed without Python."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)

        @fd.capture
        def step(inputs, target):
            self.optimizer.zero_grad()
            loss = self.loss_fn(self.model(inputs), target)
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_grad_norm)
            self.optimizer.step()
            return loss

        self.captured_step = step

    def train_step(self, inputs, target):
        loss = self.captured_step(inputs, target)
        self.scheduler.step()
        return {"loss": self.finite("loss", loss)}


def with_perplexity(means):
    return {**means, "perplexity": math.exp(means["loss"])}


def train(run):
    config = run.config
    text = shakespeare() if config["data_dir"] is None else read_text(config["data_dir"])
    vocabulary = Characters("".join(sorted(set(text))))  # of the whole text: no character is unknown in validation
    tokens = fd.tensor(vocabulary.encode(text), dtype=fd.int64)

    context = config["model"]["context"]
    end = len(tokens) - int(len(tokens) * VALIDATION)
    train_windows, valid_windows = windows_of(tokens[:end], context), windows_of(tokens[end:], context)
    sampler = RandomSampler(train_windows, num_samples=config["windows"])
    train_loader = DataLoader(train_windows, config["batch_size"], sampler=sampler)
    valid_loader = DataLoader(valid_windows, 64)

    fd.manual_seed(config["seed"])
    model = build({"type": "GPT", "vocabulary": len(vocabulary.characters), **config["model"]}).to(run.device)
    run.record(characters=vocabulary.characters, model=model.config)

    # Matrices are decayed; the scales of the normalizations are not. Nor is the embedding, which is tied to the output.
    decayed = [p for name, p in model.named_parameters() if p.ndim == 2 and not name.startswith("embedding")]
    others = [p for p in model.parameters() if all(p is not q for q in decayed)]
    optimizer = optim.AdamW(
        [{"params": decayed, "weight_decay": config["weight_decay"]}, {"params": others, "weight_decay": 0.0}],
        lr=config["lr"],
        betas=(0.9, 0.99),
    )
    steps = run.total_steps(train_loader)
    scheduler = optim.lr_scheduler.OneCycleLR(  # up along a cosine, then down along one
        optimizer, config["lr"], steps, pct_start=0.05, cycle_momentum=False, div_factor=100, final_div_factor=1
    )
    trainer = CapturedTrainer(
        model, optimizer, loss_fn, scheduler, metrics={}, clip_grad_norm=1.0, summarize=with_perplexity
    )
    print(
        f"{end} characters to train on, {len(tokens) - end} to validate on, {len(vocabulary.characters)} different ones; "
        f"{sum(p.numel() for p in model.parameters())} parameters, {steps} steps of "
        f"{config['batch_size']} x {context} characters",
        flush=True,
    )
    if not run.fit(trainer, train_loader, valid_loader):
        return None

    sample = "".join(generate(model.eval(), vocabulary, "\n", 400, temperature=0.8, seed=config["seed"]))
    print(sample, flush=True)
    scores = {name: trainer.history[-1][f"valid_{name}"] for name in ("loss", "perplexity")}
    return run.finish(model, trainer.history, valid="validation", validation=scores, sample=sample)


def generate(model, vocabulary, prompt, length, temperature=1.0, top_k=None, seed=None):
    """Yields the characters that follow a prompt, one by one.

    Args:
        model: a trained ``GPT``.
        vocabulary: its ``Characters``.
        prompt: text to go on from; an empty one stands for the start of a line.
        length: characters to add.
        temperature, top_k: as of :meth:`fastdl.models.GPT.generate`.
        seed: of the draws; of the default generator if None.

    Raises:
        ValueError: characters that the model does not know, or settings out of range.
    """
    generator = None if seed is None else fd.Generator().manual_seed(seed)
    tokens = vocabulary.encode(prompt or "\n")
    for token in model.generate(tokens, length, temperature, top_k, generator):
        yield vocabulary.decode([token])
