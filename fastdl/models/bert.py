"""BERT's encoder, with the names that transformers' BertModel gives its weights."""

import json
from collections import namedtuple
from pathlib import Path

import fastdl as fd
from fastdl import nn
from fastdl.nn import functional as F
from fastdl.serialize import load

BertOutput = namedtuple("BertOutput", ("last_hidden_state", "pooler_output"))

# Settings of config.json that the model takes, with transformers' defaults.
_DEFAULTS = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}
_ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "tanh": F.tanh,
}


class _Embeddings(nn.Module):
    """The sum of the embeddings of a token, of its place and of its segment, normalized."""

    def __init__(self, config):
        super().__init__()
        size = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], size, padding_idx=config["pad_token_id"])
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], size)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], size)
        self.LayerNorm = nn.LayerNorm(size, eps=config["layer_norm_eps"])
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])

    def forward(self, input_ids, token_type_ids, position_ids):
        x = self.word_embeddings(input_ids) + self.token_type_embeddings(token_type_ids)
        return self.dropout(self.LayerNorm(x + self.position_embeddings(position_ids)))


class _SelfAttention(nn.Module):
    """softmax(Q K^T / sqrt(d) + mask) V in heads of size d."""

    def __init__(self, config):
        super().__init__()
        size = config["hidden_size"]
        self.heads, self.dropout = config["num_attention_heads"], config["attention_probs_dropout_prob"]
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))

    def forward(self, x, mask):
        q, k, v = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for project in (self.query, self.key, self.value)
        )
        y = F.scaled_dot_product_attention(q, k, v, mask, self.dropout if self.training else 0.0)
        return y.transpose(1, 2).flatten(2)


class _Residual(nn.Module):
    """LayerNorm(dense(x) + residual)."""

    def __init__(self, inputs, config):
        super().__init__()
        self.dense = nn.Linear(inputs, config["hidden_size"])
        self.LayerNorm = nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"])
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])

    def forward(self, x, residual):
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class _Dense(nn.Module):
    """activation(dense(x))."""

    def __init__(self, inputs, outputs, activation):
        super().__init__()
        self.dense, self.activation = nn.Linear(inputs, outputs), activation

    def forward(self, x):
        return self.activation(self.dense(x))


class _Layer(nn.Module):
    """Attention and a feed-forward network, each added to its input and normalized."""

    def __init__(self, config):
        super().__init__()
        size, wide = config["hidden_size"], config["intermediate_size"]
        self.attention = nn.Module()
        self.attention.self = _SelfAttention(config)
        self.attention.output = _Residual(size, config)
        self.intermediate = _Dense(size, wide, _ACTIVATIONS[config["hidden_act"]])
        self.output = _Residual(wide, config)

    def forward(self, x, mask):
        x = self.attention.output(self.attention.self(x, mask), x)
        return self.output(self.intermediate(x), x)


class BertModel(nn.Module):
    """The transformer encoder of BERT and of the sentence encoders made from it.

    Args:
        add_pooling_layer: compute ``pooler_output``, tanh(dense(first token)), too.
        config: settings by the names of a ``config.json``: vocab_size, hidden_size, num_hidden_layers,
            num_attention_heads, intermediate_size, hidden_act, hidden_dropout_prob, attention_probs_dropout_prob,
            max_position_embeddings, type_vocab_size, layer_norm_eps, pad_token_id. Others are ignored.

    Shapes: ``input_ids`` (N, T), int64; ``attention_mask`` (N, T), 0 where a token is padding; ``token_type_ids`` and
    ``position_ids`` (N, T). Returns ``(last_hidden_state (N, T, hidden_size), pooler_output (N, hidden_size))``.

    Raises:
        ValueError: positions of another kind than absolute ones, an unknown activation, or heads that do not divide
            the size. ShapeError: a text longer than max_position_embeddings. IndexError: an id out of range.

    Source: Devlin et al., "BERT: pre-training of deep bidirectional transformers", 2019; names as in transformers.

    >>> model = BertModel(vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    >>> model(fd.tensor([[1, 2, 3]])).last_hidden_state.shape
    (1, 3, 8)
    """

    def __init__(self, add_pooling_layer=True, **config):
        super().__init__()
        settings = {key: config.get(key, default) for key, default in _DEFAULTS.items()}
        positions = config.get("position_embedding_type", "absolute")
        if positions != "absolute":
            raise ValueError(f"BertModel: position_embedding_type {positions!r} is not supported, expected 'absolute'")
        if settings["hidden_act"] not in _ACTIVATIONS:
            raise ValueError(
                f"BertModel: hidden_act {settings['hidden_act']!r}, expected one of {', '.join(_ACTIVATIONS)}"
            )
        size, heads = settings["hidden_size"], settings["num_attention_heads"]
        if size % heads:
            raise ValueError(f"BertModel: hidden_size {size} does not divide by {heads} attention heads")
        self.config = {"type": type(self).__name__, "add_pooling_layer": add_pooling_layer, **settings}
        self.embeddings = _Embeddings(settings)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(_Layer(settings) for _ in range(settings["num_hidden_layers"]))
        self.pooler = _Dense(size, size, F.tanh) if add_pooling_layer else None

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, position_ids=None):
        batch, length = input_ids.shape
        if length > self.config["max_position_embeddings"]:
            raise fd.ShapeError(
                f"BertModel: input_ids {list(input_ids.shape)}, expected at most "
                f"{self.config['max_position_embeddings']} tokens a text"
            )
        if position_ids is None:
            position_ids = fd.arange(length, device=input_ids.device).expand(batch, length)
        if token_type_ids is None:
            token_type_ids = fd.zeros_like(input_ids)
        x = self.embeddings(input_ids, token_type_ids, position_ids)
        mask = None if attention_mask is None else attention_mask.bool().reshape(batch, 1, 1, length)
        for layer in self.encoder.layer:
            x = layer(x, mask)
        return BertOutput(x, None if self.pooler is None else self.pooler(x[:, 0]))

    @classmethod
    def from_pretrained(cls, folder):
        """The model of a folder with ``config.json`` and ``model.safetensors`` or ``pytorch_model.bin``, in evaluation
        mode. Weights below a ``bert.`` (a model with a head) are found too; the pooler is made where it has weights.

        Raises:
            FileNotFoundError: a file is missing. ValueError: the configuration is of another kind of model.
            Error: the weights are not those of the configuration; all keys are listed.
        """
        folder = Path(folder)
        config = read_json(folder / "config.json")
        if config.get("model_type", "bert") != "bert":
            raise ValueError(f"{folder / 'config.json'}: model_type {config['model_type']!r}, expected 'bert'")
        state = _read_weights(folder)
        if any(key.startswith("bert.") for key in state):
            state = {key.removeprefix("bert."): value for key, value in state.items() if key.startswith("bert.")}
        state.pop("embeddings.position_ids", None)  # 0, 1, 2, ...: older files hold it
        model = cls(add_pooling_layer="pooler.dense.weight" in state, **config)
        model.load_state_dict(state)
        return model.eval()


def read_json(path):
    """The object in a JSON file.

    Raises:
        FileNotFoundError: there is none. ValueError: it is damaged.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold an object, got {type(value).__name__}")
    return value


def _read_weights(folder):
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return dict(load(folder / name))
    raise FileNotFoundError(f"{folder} has neither model.safetensors nor pytorch_model.bin")
