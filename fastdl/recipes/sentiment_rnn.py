"""Is a sentence about a movie good or bad news? A bidirectional LSTM over the words of movie-review snippets.

Twenty people rated each snippet from -4 to 4; the sign of their mean is the class, and the few snippets at 0 are left out.
The mean says more than its sign: the network learns the probability sigmoid(sharpness * rating), so that it need not be
sure where people were not. A tenth of the snippets is for validation, where all choices were made; another tenth, the
test set, is looked at once, at the end. Both are drawn by a fixed seed, whatever the seed of the training.

Snippets have from 1 to 74 words. The LSTM gets them packed, so that it does no step beyond a snippet's end.

    fastdl train sentiment-rnn
    fastdl predict runs/sentiment-rnn "a warm and funny film" "the jokes fall flat"
"""

import re
from collections import Counter

import fastdl as fd
from fastdl import nn, optim
from fastdl.data import DataLoader, TensorDataset
from fastdl.datasets import movie_reviews
from fastdl.models import build
from fastdl.train import Trainer, class_scores, classification_scores, confusion, plot_confusion

DEFAULTS = {
    "epochs": 16,
    "batch_size": 32,
    "lr": 3e-3,  # the highest of the schedule
    "weight_decay": 0.01,
    "sharpness": 2.0,
    "min_count": 2,  # rarer words are unknown ones
    "model": {"embedding": 128, "hidden": 64, "word_dropout": 0.1, "dropout": 0.5},
}
CLASSES = ("negative", "positive")
PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2


def split_words(text):
    """The words and punctuation marks of a text in lower case; a text without any is one empty word.

    >>> split_words("It isn't bad.")
    ['it', 'isn', "'", 't', 'bad', '.']
    """
    return re.findall(r"\w+|[^\w\s]", text.lower()) or [""]


class Vocabulary:
    """Numbers of words, in the order given; other words have the number ``UNKNOWN``.

    >>> Vocabulary(["a", "b"]).encode(["b a", "so b"]).tolist()
    [[3, 2], [1, 3]]
    """

    def __init__(self, words):
        self.words = list(words)
        self.numbers = {word: number for number, word in enumerate(self.words, FIRST_WORD)}

    def encode(self, texts):
        """(N, T) numbers of the texts' words, ``PADDING`` after a text's end."""
        rows = [[self.numbers.get(word, UNKNOWN) for word in split_words(text)] for text in texts]
        longest = max(map(len, rows))
        return fd.tensor([row + [PADDING] * (longest - len(row)) for row in rows], dtype=fd.int64)


def build_model(config):
    return build(config["model"])


def train(run):
    config = run.config
    texts, ratings = movie_reviews(config["data_dir"])
    rated = [(text, rating) for text, rating in zip(texts, ratings) if rating != 0]
    tenth = len(rated) // 10
    if tenth < 1:
        raise ValueError(f"there are {len(rated)} texts with a rating other than 0; expected at least 10")
    order = fd.randperm(len(rated), generator=fd.Generator().manual_seed(0)).tolist()
    test, valid, rest = order[:tenth], order[tenth : 2 * tenth], order[2 * tenth :]

    counts = Counter(word for i in rest for word in split_words(rated[i][0]))
    vocabulary = Vocabulary(word for word, count in counts.items() if count >= config["min_count"])

    def dataset(part):
        positive = (config["sharpness"] * fd.tensor([rated[i][1] for i in part])).sigmoid()
        return TensorDataset(vocabulary.encode([rated[i][0] for i in part]), fd.stack((1 - positive, positive), 1))

    train_loader = DataLoader(dataset(rest), config["batch_size"], shuffle=True)
    valid_loader, test_loader = (DataLoader(dataset(part), 256) for part in (valid, test))

    fd.manual_seed(config["seed"])
    network = {
        "type": "RecurrentClassifier",
        "vocabulary": len(vocabulary.words) + FIRST_WORD,
        "classes": len(CLASSES),
        **config["model"],
    }
    model = build(network).to(run.device)
    run.record(classes=CLASSES, words=vocabulary.words, model=model.config)

    optimizer = optim.AdamW(model.parameters(), lr=config["lr"], weight_decay=config["weight_decay"])
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, config["lr"], run.total_steps(train_loader), pct_start=0.2)
    count_classes = confusion(len(CLASSES))
    trainer = Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        scheduler,
        metrics={"confusion": lambda logits, shares: count_classes(logits, shares.argmax(1))},
        summarize=class_scores,
        clip_grad_norm=1.0,
    )
    print(
        f"{len(rest)} training, {tenth} validation and {tenth} test snippets, {len(vocabulary.words)} different words; "
        f"{sum(p.numel() for p in model.parameters())} parameters, {config['epochs']} epochs",
        flush=True,
    )
    if not run.fit(trainer, train_loader, valid_loader):
        return None

    predicted, shares = trainer.predict(test_loader)
    scores = classification_scores(shares.argmax(1).numpy(force=True), predicted.numpy(force=True), len(CLASSES))
    plot_confusion(scores["confusion"], CLASSES, run.folder / "confusion.png")
    valid_scores = {name[6:]: value for name, value in trainer.history[-1].items() if name.startswith("valid_")}
    return run.finish(model, trainer.history, valid="validation", validation=valid_scores, test=scores)


def classify(model, config, texts):
    """Probabilities of the classes, a list of floats for each text. Words that the model does not know count as such.

    Args:
        model, config: as ``fastdl.predict.load_run`` gives them.
        texts: list of str.
    """
    words = Vocabulary(config["words"]).encode(texts)
    with fd.inference_mode():
        return model(words).softmax(1).tolist()
