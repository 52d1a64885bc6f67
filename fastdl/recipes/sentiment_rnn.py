"""Is a sentence about a movie good or bad news? A bidirectional LSTM over the words of movie-review snippets.

Nine thousand snippets are few to learn words from: most words of a new one occur once or never. So words are cut into the
30,522 pieces of a pretrained language model, and the network starts from the vectors that it learned for them, which know
from other texts that "tedious" is near "dull". All of it is trained further.

Twenty people rated each snippet from -4 to 4; the sign of their mean is the class, and the few snippets at 0 are left out.
The mean says more than its sign: the network learns the probability sigmoid(sharpness * rating), so that it need not be
sure where people were not. A tenth of the snippets is for validation, where all choices were made; another tenth, the
test set, is looked at once, at the end. Both are drawn by a fixed seed, whatever the seed of the training.

The LSTM gets the snippets packed, so that it does no step beyond a snippet's end.

    fastdl train sentiment-rnn
    fastdl predict runs/sentiment-rnn "a warm and funny film" "the jokes fall flat"
"""

import fastdl as fd
from fastdl import nn, optim
from fastdl.data import DataLoader, TensorDataset
from fastdl.datasets import movie_reviews, word_pieces
from fastdl.extras import require
from fastdl.models import build
from fastdl.train import Trainer, class_scores, classification_scores, confusion, plot_confusion

DEFAULTS = {
    "epochs": 5,
    "batch_size": 32,
    "lr": 2e-3,  # the highest of the schedule
    "weight_decay": 0.01,
    "sharpness": 2.0,
    "vector_scale": 0.5,  # standard deviation of the words' vectors at the start
    "model": {"hidden": 64, "word_dropout": 0.2, "dropout": 0.6},
}
CLASSES = ("negative", "positive")
PADDING = 0


class Vocabulary:
    """Cuts texts in lower case into pieces of words, and gives the pieces' numbers.

    Args:
        pieces: list of str; a piece's number is its place. ``[PAD]`` is the first, ``[UNK]`` stands for what no piece
            covers, ``[CLS]`` and ``[SEP]`` are there too, as in all vocabularies of BERT's kind.

    Raises:
        ImportError: the package tokenizers is missing. ValueError: one of these four is missing or in another place.

    >>> vocabulary = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "film", "good", "##s"])
    >>> vocabulary.encode(["Good films", "!"]).tolist()
    [[5, 4, 6], [1, 0, 0]]
    """

    def __init__(self, pieces):
        tokenizers = require("tokenizers", "sentiment-rnn")
        self.pieces = list(pieces)
        numbers = {piece: number for number, piece in enumerate(self.pieces)}
        if self.pieces[:1] != ["[PAD]"] or not numbers.keys() >= {"[UNK]", "[CLS]", "[SEP]"}:
            raise ValueError("the pieces of words must begin with [PAD], and [UNK], [CLS] and [SEP] be among them")
        self.tokenizer = tokenizers.BertWordPieceTokenizer(numbers, lowercase=True)
        self.unknown = numbers["[UNK]"]

    def encode(self, texts):
        """(N, T) numbers of the texts' pieces, ``PADDING`` after a text's end. An empty text is one unknown piece."""
        encoded = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        rows = [text.ids or [self.unknown] for text in encoded]
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

    pieces, vectors = word_pieces(config["data_dir"])
    vocabulary = Vocabulary(pieces)

    def dataset(part):
        positive = (config["sharpness"] * fd.tensor([rated[i][1] for i in part])).sigmoid()
        return TensorDataset(vocabulary.encode([rated[i][0] for i in part]), fd.stack((1 - positive, positive), 1))

    train_loader = DataLoader(dataset(rest), config["batch_size"], shuffle=True)
    valid_loader, test_loader = (DataLoader(dataset(part), 256) for part in (valid, test))

    fd.manual_seed(config["seed"])
    network = {
        "type": "RecurrentClassifier",
        "vocabulary": len(pieces),
        "classes": len(CLASSES),
        "embedding": vectors.shape[1],
        **config["model"],
    }
    model = build(network)
    with fd.no_grad():
        model.embedding.weight.copy_((vectors - vectors.mean(0)) * (config["vector_scale"] / vectors.std()))
        model.embedding.weight[PADDING] = 0
    model.to(run.device)
    run.record(classes=CLASSES, pieces=pieces, model=model.config)

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
        f"{len(rest)} training, {tenth} validation and {tenth} test snippets, {len(pieces)} pieces of words; "
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
    """Probabilities of the classes, a list of floats for each text.

    Args:
        model, config: as ``fastdl.predict.load_run`` gives them.
        texts: list of str.
    """
    words = Vocabulary(config["pieces"]).encode(texts)
    with fd.inference_mode():
        return model(words).softmax(1).tolist()
