"""fastdl.train: learning, exact resume, Ctrl-C, callbacks, scores and plots."""

import io
import math
import os
import signal

import pytest

import fastdl as fd
from fastdl import nn, optim
from fastdl.data import DataLoader, TensorDataset
from fastdl.models import ConvClassifier, Standardize, build
from fastdl.train import (
    Callback,
    Checkpoint,
    EarlyStopping,
    Progress,
    Trainer,
    accuracy,
    class_scores,
    classification_scores,
    confusion,
    load_tree,
    plot_confusion,
    plot_curves,
    plot_images,
    save_tree,
)


def make_trainer(seed=0, optimizer="adamw", generator=False, **arguments):
    """A small task with everything that has state: dropout, batch norm, momentum, schedule, shuffling"""
    fd.manual_seed(100)
    x = fd.randn(60, 4)
    y = (x.sum(1) > 0).to(fd.int64)
    fd.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
    optimizers = {
        "adamw": lambda p: optim.AdamW(p, lr=0.05),
        "sgd": lambda p: optim.SGD(p, lr=0.05, momentum=0.9),
    }
    chosen = optimizers[optimizer](model.parameters())
    loader_generator = None
    if generator:
        loader_generator = fd.Generator()
        loader_generator.manual_seed(seed)
    loader = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True, generator=loader_generator)
    schedule = optim.lr_scheduler.OneCycleLR(chosen, max_lr=0.05, total_steps=4 * len(loader))
    return Trainer(model, chosen, scheduler=schedule, **arguments), loader


def without_times(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


class StopAt(Callback):
    def __init__(self, epoch, step, how=Trainer.stop):
        self.position = (epoch, step)
        self.how = how

    def on_step_end(self, trainer):
        if (trainer.epoch, trainer.step) == self.position:
            self.how(trainer)


def test_training_learns():
    trainer, loader = make_trainer(clip_grad_norm=1.0)
    history = trainer.fit(loader, loader, epochs=4)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert history[-1]["valid_accuracy"] > 0.85
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert trainer.evaluate(loader)["loss"] == pytest.approx(history[-1]["valid_loss"])
    predicted, target = trainer.predict(loader)
    assert (predicted == target).sum().item() / 60 == pytest.approx(history[-1]["valid_accuracy"])


def test_accumulated_batches_are_as_one_large_batch():
    fd.manual_seed(0)
    x, y = fd.randn(22, 4, dtype=fd.float64), fd.randn(22, 1, dtype=fd.float64)
    weights = []
    for size, accumulate in ((8, 1), (2, 4)):  # steps of 8, 8 and 6 samples: the last of 3 batches
        fd.manual_seed(1)
        model = nn.Linear(4, 1, dtype=fd.float64)
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        trainer = Trainer(model, optimizer, nn.MSELoss(), schedule, {}, clip_grad_norm=0.5, accumulate=accumulate)
        trainer.fit(DataLoader(TensorDataset(x, y), batch_size=size), epochs=2)
        assert schedule.last_epoch == 6
        weights.append(model.weight.tolist()[0])
    assert weights[0] == pytest.approx(weights[1], rel=1e-12)
    with pytest.raises(ValueError, match="accumulate"):
        Trainer(model, optimizer, accumulate=0)


def test_steps_end_within_an_epoch():
    trainer, loader = make_trainer()  # 8 batches an epoch
    history = trainer.fit(loader, loader, epochs=4, steps=11)
    assert [row["epoch"] for row in history] == [1, 2]
    assert trainer.scheduler.last_epoch == 11
    assert "valid_accuracy" in history[-1]
    trainer, loader = make_trainer()
    assert len(trainer.fit(loader, epochs=2, steps=100)) == 2
    with pytest.raises(ValueError, match="steps must be positive, got 0"):
        trainer.fit(loader, steps=0)


class TwoNetworks(Trainer):
    """A step and an optimizer of its own, as adversarial training has them"""

    def train_step(self, inputs, target):
        loss = (self.model["b"](self.model["a"](inputs)) ** 2).mean()
        self.optimizer.zero_grad()
        self.extra_state["second"].zero_grad()
        loss.backward()
        self.optimizer.step()
        self.extra_state["second"].step()
        return {"size": self.finite("size", loss)}


def two_networks(seed, **arguments):
    fd.manual_seed(seed)
    model = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 1)})
    first, second = (optim.Adam(model[name].parameters(), lr=0.05) for name in "ab")
    return TwoNetworks(model, first, extra_state={"second": second}, **arguments)


def test_a_step_of_its_own_and_a_second_optimizer_resume_too(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    _, loader = make_trainer()
    fd.manual_seed(1)
    straight = two_networks(0)
    straight.fit(loader, epochs=2)
    stopped = two_networks(0, callbacks=[StopAt(0, 5)])
    stopped.fit(loader, epochs=2)
    stopped.save_checkpoint(path)
    resumed = two_networks(3)
    resumed.load_checkpoint(path)
    resumed.fit(loader, epochs=2)
    assert [sorted(row) for row in resumed.history] == [["epoch", "seconds", "train_size"]] * 2
    for name, tensor in straight.model.state_dict().items():
        assert resumed.model.state_dict()[name].tolist() == tensor.tolist(), name
    with pytest.raises(ValueError, match="extra parts \\['second'\\], the trainer \\[\\]"):
        Trainer(straight.model, straight.optimizer).load_checkpoint(path)


def test_running_class_scores(tmp_path):
    def trainer_of(seed, **arguments):
        return make_trainer(seed, metrics={"confusion": confusion(2)}, summarize=class_scores, **arguments)

    straight, loader = trainer_of(0)
    straight.fit(loader, loader, epochs=2)
    predicted, target = straight.predict(loader)
    expected = classification_scores(target.numpy(force=True), predicted.numpy(force=True), 2)
    for name in ("accuracy", "precision", "recall", "f1"):
        assert straight.history[-1][f"valid_{name}"] == pytest.approx(expected[name], rel=1e-12)

    path = tmp_path / "checkpoint.safetensors"
    stopped, loader = trainer_of(0, callbacks=[StopAt(1, 3)])
    stopped.fit(loader, loader, epochs=2)
    assert stopped.averages().keys() == {"loss", "accuracy", "precision", "recall", "f1"}
    stopped.save_checkpoint(path)
    resumed, loader = trainer_of(1)
    resumed.load_checkpoint(path)
    resumed.fit(loader, loader, epochs=2)
    assert without_times(resumed.history) == without_times(straight.history)


def test_training_in_bfloat16():
    seen = []

    def loss_fn(outputs, target):
        seen.append(outputs.dtype)
        return nn.functional.cross_entropy(outputs, target)

    trainer, loader = make_trainer(loss_fn=loss_fn, autocast=fd.bfloat16)
    history = trainer.fit(loader, loader, epochs=4)
    assert set(seen) == {fd.bfloat16}
    assert history[-1]["valid_accuracy"] > 0.85
    assert {p.dtype for p in trainer.model.parameters()} == {fd.float32}
    assert {p.grad.dtype for p in trainer.model.parameters()} == {fd.float32}


@pytest.mark.parametrize("position", [(0, 1), (1, 3), (2, 8), (3, 8)], ids=str)
@pytest.mark.parametrize(
    ("optimizer", "generator", "arguments"),
    [("adamw", False, {}), ("sgd", True, {}), ("sgd", False, {"accumulate": 3, "autocast": fd.bfloat16})],
)
def test_resuming_gives_the_same_bits(tmp_path, position, optimizer, generator, arguments):
    straight, loader = make_trainer(0, optimizer, generator, **arguments)
    straight.fit(loader, loader, epochs=4)

    path = tmp_path / "checkpoint.safetensors"
    stopped, loader = make_trainer(0, optimizer, generator, callbacks=[StopAt(*position)], **arguments)
    stopped.fit(loader, loader, epochs=4)
    assert (stopped.epoch, stopped.step) == position
    stopped.save_checkpoint(path)

    resumed, loader = make_trainer(1, optimizer, generator, **arguments)  # another seed: all must come from the file
    resumed.load_checkpoint(path)
    resumed.fit(loader, loader, epochs=4)
    assert without_times(resumed.history) == without_times(straight.history)
    for name, tensor in straight.model.state_dict().items():
        assert resumed.model.state_dict()[name].tolist() == tensor.tolist(), name


def test_resuming_from_the_end_of_an_epoch(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    straight, loader = make_trainer(0, callbacks=[Checkpoint(path, every=3)])
    straight.fit(loader, epochs=4)
    resumed, loader = make_trainer(1)
    resumed.load_checkpoint(path)
    assert (resumed.epoch, resumed.step) == (3, 0)
    resumed.fit(loader, epochs=4)
    assert without_times(resumed.history) == without_times(straight.history)


def test_the_state_survives_saving_before_training_goes_on(tmp_path):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    trainer, loader = make_trainer(callbacks=[StopAt(1, 2)])
    trainer.fit(loader, epochs=4)
    trainer.save_checkpoint(first)
    other, _ = make_trainer(1)
    other.load_checkpoint(first)
    other.save_checkpoint(second)
    assert first.read_bytes() == second.read_bytes()


def test_ctrl_c_ends_after_the_step_and_saves(tmp_path):
    path = tmp_path / "checkpoint.safetensors"

    def press(trainer):
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    trainer, loader = make_trainer(callbacks=[StopAt(1, 3, press), Checkpoint(path)])
    trainer.fit(loader, epochs=4)
    assert trainer.interrupted
    assert (trainer.epoch, trainer.step) == (1, 3)
    assert load_tree(path)["step"] == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_is_an_exception():
    def press_twice(trainer):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    trainer, loader = make_trainer(callbacks=[StopAt(0, 2, press_twice)])
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(loader, epochs=4)


def test_nan_in_the_data_is_an_error_that_says_where():
    trainer, loader = make_trainer()
    loader.dataset.tensors[0][7, 1] = math.nan
    with pytest.raises(FloatingPointError, match=r"the loss became nan in epoch 1, step \d"):
        trainer.fit(loader, epochs=1)


def test_empty_loaders_are_errors():
    trainer, _ = make_trainer()
    empty = DataLoader(TensorDataset(fd.zeros(0, 4), fd.zeros(0).to(fd.int64)))
    with pytest.raises(ValueError, match="no batches"):
        trainer.fit(empty)
    with pytest.raises(ValueError, match="no samples"):
        trainer.evaluate(empty)


def test_a_checkpoint_of_another_trainer_is_refused(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    trainer, loader = make_trainer()
    trainer.fit(loader, epochs=1)
    trainer.save_checkpoint(path)
    plain = Trainer(trainer.model, trainer.optimizer)
    with pytest.raises(ValueError, match="scheduler"):
        plain.load_checkpoint(path)
    with pytest.raises(ValueError, match="lacks model, optimizer"):
        plain.load_state_dict({"epoch": 1})
    fd.save({"x": fd.zeros(1)}, path)
    with pytest.raises(ValueError, match="no checkpoint of fastdl"):
        plain.load_checkpoint(path)


def test_early_stopping():
    class Worse(Callback):
        def on_epoch_end(self, trainer):
            trainer.history[-1]["score"] = [1, 3, 2, 2, 2, 2][trainer.epoch - 1]

    trainer, loader = make_trainer(callbacks=[Worse(), EarlyStopping("score", 2, higher_is_better=True)])
    trainer.fit(loader, epochs=4)
    assert trainer.epoch == 4
    assert not trainer.interrupted
    trainer, loader = make_trainer(callbacks=[Worse(), EarlyStopping("score", 1, higher_is_better=True)])
    assert len(trainer.fit(loader, epochs=4)) == 3
    trainer, loader = make_trainer(callbacks=[EarlyStopping("nothing")])
    with pytest.raises(KeyError, match="no nothing, only epoch"):
        trainer.fit(loader, epochs=2)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_plain_lines_without_a_terminal_and_a_bar_on_one():
    plain, terminal = io.StringIO(), Terminal()
    for stream in (plain, terminal):
        trainer, loader = make_trainer(callbacks=[Progress(stream)])
        trainer.fit(loader, loader, epochs=2)
    lines = plain.getvalue().splitlines()
    assert [line.split()[:2] for line in lines] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert all("valid accuracy" in line and "\x1b" not in line for line in lines)
    pytest.importorskip("rich")
    assert "\x1b[" in terminal.getvalue()
    assert "valid accuracy" in terminal.getvalue()


# --- checkpoints' nested state


def test_tree_round_trip(tmp_path):
    path = tmp_path / "tree.safetensors"
    tree = {
        "state": {0: {"step": fd.tensor(3.0), "moments": [fd.ones(2), None]}, 1: {}},
        "betas": (0.9, 0.1 + 0.2),
        "name": "x.y",
        "flags": [True, False, None, math.inf],
        "big": 2**70,
    }
    save_tree(tree, path)
    loaded = load_tree(path)
    assert loaded["state"][0]["step"].item() == 3
    assert loaded["state"][0]["moments"][0].tolist() == [1, 1]
    assert loaded["state"][1] == {}
    for name in ("betas", "name", "flags", "big"):
        assert loaded[name] == tree[name]
    assert isinstance(loaded["betas"], tuple)
    assert loaded["flags"][0] is True


def test_tree_refuses_what_it_cannot_store(tmp_path):
    path = tmp_path / "tree.safetensors"
    with pytest.raises(TypeError, match=r"state\.optimizer\.1 is of type object"):
        save_tree({"optimizer": [1, object()]}, path)
    with pytest.raises(TypeError, match=r"keys of state"):
        save_tree({(1, 2): 3}, path)
    assert not path.exists()


def test_tensors_of_like_named_places_do_not_collide(tmp_path):
    path = tmp_path / "tree.safetensors"
    save_tree({"a": {"b": fd.zeros(1)}, "a.b": fd.ones(1)}, path)
    tree = load_tree(path)
    assert (tree["a"]["b"].item(), tree["a.b"].item()) == (0, 1)


# --- scores, plots, models


def test_scores_against_plain_formulas():
    pytest.importorskip("sklearn")
    target, predicted = [0, 0, 0, 1, 1, 2, 2, 2], [0, 0, 1, 1, 2, 2, 2, 2]
    scores = classification_scores(target, predicted, 4)  # nobody has or gets class 3
    assert scores["confusion"] == [[2, 1, 0, 0], [0, 1, 1, 0], [0, 0, 3, 0], [0, 0, 0, 0]]
    precision, recall = [1, 1 / 2, 3 / 4, 0], [2 / 3, 1 / 2, 1, 0]
    f1 = [2 * p * r / (p + r) if p + r else 0 for p, r in zip(precision, recall)]
    assert scores["accuracy"] == 6 / 8
    for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
        assert scores[name] == pytest.approx(sum(values) / 4)
    assert accuracy(fd.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0]]), fd.tensor([1, 1, 1])) == pytest.approx(2 / 3)


def test_plots_are_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    history = [{"epoch": i + 1, "train_loss": 1 / (i + 1), "train_accuracy": i / 3} for i in range(3)]
    plot_curves(history, tmp_path / "curves.png")
    plot_confusion([[5, 1], [0, 0]], ["a", "b"], tmp_path / "confusion.png")
    plot_images(fd.rand(7, 1, 28, 28), tmp_path / "images.png", columns=4)
    with image.open(tmp_path / "images.png") as picture:
        assert picture.size == (4 * 30 * 2, 2 * 30 * 2)
    for name in ("curves.png", "confusion.png"):
        with image.open(tmp_path / name) as picture:
            picture.load()
            assert min(picture.size) > 100
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 10
    with pytest.raises(FileNotFoundError, match="no folder"):
        plot_curves(history, tmp_path / "no" / "curves.png")


def test_conv_classifier_is_made_again_from_its_config():
    model = ConvClassifier((12, 9), classes=5, widths=(4, 6), mean=3.0, std=2.0)
    other = build(model.config)
    other.load_state_dict(model.state_dict())
    x = (fd.rand(2, 1, 12, 9) * 255).to(fd.uint8)
    assert other.eval()(x).tolist() == model.eval()(x).tolist()
    assert tuple(model(x).shape) == (2, 5)
    with pytest.raises(ValueError, match="too small"):
        ConvClassifier((4, 4), 2, widths=(2, 2, 2))
    with pytest.raises(ValueError, match="as many pools"):
        ConvClassifier((8, 8), 2, widths=(2,), pools=(True, False))
    with pytest.raises(ValueError, match="no model 'Transformer'"):
        build({"type": "Transformer"})
    with pytest.raises(ValueError, match="does not take"):
        build({"type": "ConvClassifier", "depth": 3})
    with pytest.raises(ValueError, match="std must be positive"):
        Standardize(0.0, 0.0)
