"""Whole networks trained for a few steps: the loss falls; same bits at any thread count, after a fork, resumed."""

import os

import pytest

import fastdl as fd
import fastdl.nn.functional as F
from fastdl import nn


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1),
            nn.Conv2d(16, 32, 3), nn.ReLU(),
        )  # fmt: skip
        self.classifier = nn.Linear(32 * 36, 4)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))

    @staticmethod
    def data():
        return fd.randn(32, 1, 16, 16), fd.randint(0, 4, (32,))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 24)
        self.lstm = nn.LSTM(24, 48)
        self.head = nn.Linear(48, 4)

    def forward(self, x):
        return self.head(self.lstm(self.embedding(x))[0][-1])

    @staticmethod
    def data():
        return fd.randint(0, 50, (12, 32)), fd.randint(0, 4, (32,))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True)
        self.embedding = nn.Embedding(50, 32)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(32, 4)

    def forward(self, x):
        return self.head(self.encoder(self.embedding(x)).mean(1))

    @staticmethod
    def data():
        return fd.randint(0, 50, (32, 12)), fd.randint(0, 4, (32,))


NETWORKS = (ConvNet, Recurrent, Transformer)


def start(network):
    fd.manual_seed(0)
    x, y = network.data()
    model = network()
    return model, fd.optim.AdamW(model.parameters(), lr=5e-3), x, y


def steps(count, model, optimizer, x, y):
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y, label_smoothing=0.05)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def weights(model):
    return b"".join(v.numpy(force=True).tobytes() for v in model.state_dict().values())


@pytest.mark.parametrize("network", NETWORKS)
def test_loss_falls(network):
    losses = steps(20, *start(network))
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("network", NETWORKS)
def test_same_bits_at_any_thread_count(network, threads):
    results = []
    for n in (1, 2, 3):
        threads(n)
        run = start(network)
        losses = steps(5, *run)
        results.append((losses, weights(run[0])))
    assert results[0] == results[1]
    assert results[0] == results[2]


@pytest.mark.parametrize("network", NETWORKS)
def test_exact_resume(network, tmp_path):
    """Ten steps are five, a checkpoint in a file, and five more from it, to the last bit."""
    straight = start(network)
    steps(10, *straight)

    model, optimizer, x, y = start(network)
    steps(5, model, optimizer, x, y)
    fd.save(model.state_dict(), tmp_path / "model.safetensors")
    moments, noise = optimizer.state_dict(), fd.get_rng_state()

    fresh, again, _, _ = start(network)
    fresh.load_state_dict(fd.load(tmp_path / "model.safetensors"))
    again.load_state_dict(moments)
    fd.set_rng_state(noise)
    steps(5, fresh, again, x, y)
    assert weights(fresh) == weights(straight[0])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_training_in_a_forked_child(threads):
    threads(2)
    expected = steps(3, *start(ConvNet))  # the parent's pool runs before the fork
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, b"same" if steps(3, *start(ConvNet)) == expected else b"different")
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"same"
    assert os.waitpid(child, 0)[1] == 0
    assert steps(3, *start(ConvNet)) == expected
