"""Bad input: a Python exception that names the op and what was expected; never a crash or a hang."""

import numpy as np
import pytest

import fastdl as fd
import fastdl.nn.functional as F

HUGE = 10**12
attention = F.scaled_dot_product_attention


def floats(*shape):
    return fd.ones(*shape)


def ints(*values):
    return fd.tensor(list(values))


# What is called, the exception, and words of its message.
CASES = {
    "add shapes": (lambda: floats(3) + floats(4), fd.ShapeError, "add", "[3]", "[4]"),
    "matmul shapes": (lambda: floats(3, 4) @ floats(5, 6), fd.ShapeError, "matmul", "[3, 4]", "[5, 6]"),
    "matmul 0-d": (lambda: fd.tensor(1.0) @ floats(3), fd.Error, "matmul"),
    "bmm shapes": (lambda: fd.bmm(floats(2, 3, 4), floats(3, 4, 5)), fd.ShapeError, "bmm"),
    "matmul dtypes": (lambda: floats(3, 3) @ floats(3, 3).double(), fd.DTypeError, "matmul", "float32", "float64"),
    "linear shapes": (lambda: F.linear(floats(2, 3), floats(4, 5)), fd.ShapeError, "linear", "[2, 3]"),
    "linear bias": (lambda: F.linear(floats(2, 5), floats(4, 5), floats(3)), fd.ShapeError, "linear"),
    "conv2d channels": (lambda: F.conv2d(floats(1, 3, 8, 8), floats(4, 2, 3, 3)), fd.ShapeError, "conv2d"),
    "conv2d kernel too large": (lambda: F.conv2d(floats(1, 3, 2, 2), floats(4, 3, 3, 3)), fd.ShapeError, "conv2d"),
    "conv2d groups": (lambda: F.conv2d(floats(1, 3, 8, 8), floats(4, 3, 3, 3), groups=2), fd.Error, "conv2d", "groups"),
    "conv2d stride": (lambda: F.conv2d(floats(1, 3, 8, 8), floats(4, 3, 3, 3), stride=0), fd.Error, "conv2d", "stride"),
    "pool kernel": (lambda: F.max_pool2d(floats(1, 3, 2, 2), 3), fd.Error, "max_pool2d"),
    "batch_norm weight": (lambda: F.batch_norm(floats(2, 3), floats(5), floats(5)), fd.ShapeError, "batch_norm"),
    "layer_norm shape": (lambda: F.layer_norm(floats(2, 3), (4,)), fd.ShapeError, "layer_norm", "[2, 3]"),
    "group_norm groups": (lambda: F.group_norm(floats(2, 3, 4), 2), fd.Error, "group_norm"),
    "softmax dim": (lambda: F.softmax(floats(2, 3), dim=2), fd.Error, "softmax"),
    "sum dim": (lambda: floats(2, 3).sum(2), fd.Error, "sum"),
    "sum repeated dim": (lambda: floats(2, 3).sum((0, 0)), fd.Error, "sum"),
    "amax of nothing": (lambda: floats(0).amax(), fd.Error, "amax"),
    "argmax of nothing": (lambda: floats(0).argmax(), fd.Error, "argmax"),
    "cross_entropy label": (lambda: F.cross_entropy(floats(2, 3), ints(0, 3)), fd.Error, "cross_entropy", "3"),
    "cross_entropy label -1": (lambda: F.cross_entropy(floats(2, 3), ints(0, -1)), fd.Error, "cross_entropy", "-1"),
    "cross_entropy shapes": (lambda: F.cross_entropy(floats(2, 3), ints(0, 1, 2)), fd.ShapeError, "cross_entropy"),
    "nll_loss label": (lambda: F.nll_loss(floats(2, 3), ints(0, 5)), fd.Error, "nll_loss", "5"),
    "embedding index": (lambda: F.embedding(ints(0, 7), floats(5, 3)), fd.Error, "embedding", "7"),
    "embedding dtype": (lambda: F.embedding(floats(2), floats(5, 3)), fd.Error, "embedding"),
    "gather index": (lambda: fd.gather(floats(3), 0, ints(3)), fd.Error, "gather"),
    "scatter index": (lambda: floats(3).scatter(0, ints(-4), floats(1)), fd.Error, "scatter"),
    "index_select index": (lambda: fd.index_select(floats(3), 0, ints(5)), fd.Error, "index_select"),
    "index": (lambda: floats(3)[3], (fd.IndexError, IndexError), "3"),
    "index tensor": (lambda: floats(3)[ints(9)], (fd.IndexError, IndexError), "9"),
    "too many indices": (lambda: floats(3)[0, 0], (fd.IndexError, IndexError), "ind"),
    "mask shape": (lambda: floats(3)[fd.tensor([True, False])], (fd.IndexError, IndexError, fd.ShapeError), "mask"),
    "attention width": (lambda: attention(floats(2, 3, 4), floats(2, 5, 6), floats(2, 5, 6)), fd.ShapeError, "scaled"),
    "view size": (lambda: floats(6).view(4, 2), fd.ShapeError, "view", "[6]"),
    "view strides": (lambda: floats(2, 3).t().view(6), fd.Error, "view"),
    "reshape -1 twice": (lambda: floats(6).reshape(-1, -1), fd.ShapeError, "reshape"),
    "expand": (lambda: floats(3).expand(4), fd.ShapeError, "expand"),
    "permute": (lambda: floats(2, 3).permute(0, 0), fd.Error, "permute"),
    "transpose": (lambda: floats(2, 3).transpose(0, 2), fd.Error, "transpose"),
    "cat shapes": (lambda: fd.cat([floats(2, 3), floats(2, 4)]), fd.ShapeError, "cat"),
    "cat of nothing": (lambda: fd.cat([]), fd.Error, "cat"),
    "stack shapes": (lambda: fd.stack([floats(2), floats(3)]), fd.ShapeError, "stack"),
    "as_strided beyond": (lambda: floats(4).as_strided((4,), (2,)), fd.Error, "as_strided"),
    "as_strided negative": (lambda: floats(4).as_strided((2,), (-1,)), fd.Error, "as_strided"),
    "negative size": (lambda: fd.zeros(-1), fd.ShapeError, "-1"),
    "too many dimensions": (lambda: fd.zeros(*[1] * 9), fd.ShapeError, "8 dimensions"),
    "size overflow": (lambda: fd.empty(2**62, 2**62), (fd.ShapeError, fd.OutOfMemoryError), "empty: "),
    "10^12 elements": (lambda: fd.zeros(HUGE), fd.OutOfMemoryError, "full: ", str(4 * HUGE), f"[{HUGE}]"),
    "10^12 by expand": (lambda: floats(1).expand(HUGE).clone(), fd.OutOfMemoryError, "clone: "),
    "10^12 by broadcast": (lambda: floats(10**6, 1) + floats(10**6), fd.OutOfMemoryError, "add: "),
    "10^12 by matmul": (lambda: floats(10**6, 1) @ floats(1, 10**6), fd.OutOfMemoryError, "matmul: "),
    "overlapping write": (lambda: floats(1).expand(4).add_(1.0), fd.Error, "add_"),
    "in-place shape": (lambda: floats(3).add_(floats(2, 3)), fd.ShapeError, "add_"),
    "in-place dtype": (lambda: ints(1, 2).add_(0.5), fd.DTypeError, "add_"),
    "in-place on a leaf": (lambda: fd.ones(3, requires_grad=True).add_(1.0), fd.Error, "leaf"),
    "integer gradient": (lambda: fd.tensor([1, 2], requires_grad=True), (fd.DTypeError, fd.Error), "int64"),
    "backward of many": (lambda: fd.ones(3, requires_grad=True).mul(2).backward(), fd.Error, "backward"),
    "backward without history": (lambda: floats(1).sum().backward(), fd.Error, ""),
    "item of many": (lambda: floats(3).item(), fd.Error, "item"),
    "truth of many": (lambda: bool(floats(3)), (RuntimeError, ValueError), "3"),
    "tensor and text": (lambda: floats(3) + "a", TypeError, ""),
    "argument type": (lambda: F.softmax(floats(3), dim="x"), TypeError, "dim"),
    "not a tensor": (lambda: F.linear([1.0], floats(1, 1)), TypeError, "input"),
    "unknown keyword": (lambda: F.linear(floats(1), floats(1, 1), bogus=1), TypeError, "bogus"),
    "missing argument": (lambda: fd.cat(), TypeError, ""),
    "ragged list": (lambda: fd.tensor([[1, 2], [3]]), (fd.ValueError, ValueError), ""),
    "text data": (lambda: fd.tensor(["a"]), TypeError, ""),
    "integer too large": (lambda: fd.tensor(2**70), (OverflowError, TypeError, fd.Error), ""),
    "unknown device": (lambda: fd.ones(2, device="tpu"), (fd.ValueError, fd.DeviceError), "tpu"),
    "no GPU": (lambda: fd.ones(2).to("cuda"), fd.DeviceError, "cuda"),
    "negative strides": (lambda: fd.from_numpy(np.arange(4.0)[::-1]), (fd.ValueError, ValueError), "stride"),
    "dropout p": (lambda: F.dropout(floats(3), 1.5), (fd.ValueError, ValueError), "dropout"),
    "one_hot class": (lambda: F.one_hot(ints(5), 3), fd.Error, "one_hot"),
    "topk k": (lambda: floats(3).topk(4), fd.Error, "topk"),
    "threads": (lambda: fd.set_num_threads(0), (fd.ValueError, ValueError), "0"),
    "linspace steps": (lambda: fd.linspace(0, 1, -1), fd.Error, ""),
    "arange step": (lambda: fd.arange(0, 3, 0), fd.Error, "arange"),
    "randint range": (lambda: fd.randint(5, 5, (2,)), fd.Error, ""),
    "mse_loss shapes": (lambda: F.mse_loss(floats(3), floats(4)), fd.ShapeError, "mse_loss"),
    "reduction name": (lambda: F.mse_loss(floats(3), floats(3), reduction="avg"), (fd.ValueError, ValueError), "avg"),
    "conv3d channels": (lambda: F.conv3d(floats(1, 3, 4, 4, 4), floats(2, 2, 3, 3, 3)), fd.ShapeError, "conv3d", "channels"),
    "conv3d kernel": (lambda: F.conv3d(floats(1, 2, 2, 4, 4), floats(2, 2, 3, 3, 3)), fd.ShapeError, "conv3d", "larger"),
    "conv3d stride": (lambda: F.conv3d(floats(1, 1, 4, 4, 4), floats(1, 1, 2, 2, 2), stride=0), fd.ValueError, "stride"),
    "conv3d dimensions": (lambda: F.conv3d(floats(1, 4), floats(1, 1, 2, 2, 2)), fd.ShapeError, "conv3d", "[1, 4]"),
    "conv_transpose3d padding": (
        lambda: F.conv_transpose3d(floats(1, 1, 2, 2, 2), floats(1, 1, 2, 2, 2), output_padding=1), fd.ValueError, "output_padding"),
    "pool3d window": (lambda: F.max_pool3d(floats(1, 1, 2, 2, 2), 3), fd.ShapeError, "max_pool3d"),
    "pool3d sizes": (lambda: F.avg_pool3d(floats(1, 1, 2, 2, 2), (1, 2)), fd.ShapeError, "avg_pool3d", "kernel_size"),
    "adaptive size": (lambda: F.adaptive_avg_pool2d(floats(1, 1, 2, 2), -1), fd.ValueError, "-1"),
    "unpool index": (lambda: F.max_unpool1d(floats(1, 2), fd.tensor([[0, 9]]), 2), fd.IndexError, "9"),
    "unpool size": (lambda: F.max_unpool2d(floats(1, 2, 2), fd.zeros(1, 2, 2).long(), 2, output_size=(9, 4)), fd.ValueError,
                    "output_size"),
    "fractional window": (lambda: F.fractional_max_pool2d(floats(1, 1, 3, 3), 3, 2), fd.ShapeError, "fractional"),
    "fold columns": (lambda: F.fold(floats(1, 4, 5), (3, 3), 2), fd.ShapeError, "fold", "[1, 4, 5]"),
    "unfold kernel": (lambda: F.unfold(floats(1, 1, 2, 2), 3), fd.ShapeError, "unfold"),
    "interpolate mode": (lambda: F.interpolate(floats(1, 1, 2), 4, mode="bilinear"), fd.ValueError, "bilinear"),
    "interpolate sizes": (lambda: F.interpolate(floats(1, 1, 2)), fd.ValueError, "scale_factor"),
    "interpolate nothing": (lambda: F.interpolate(floats(1, 1, 2), 0), fd.ShapeError, "interpolate"),
    "interpolate integers": (lambda: F.interpolate(fd.ones(1, 1, 2).long(), 4, mode="linear"), fd.DTypeError, "int64"),
    "grid shape": (lambda: F.grid_sample(floats(1, 1, 2, 2), floats(1, 2, 2, 3)), fd.ShapeError, "grid_sample"),
    "grid dtype": (lambda: F.grid_sample(floats(1, 1, 2, 2), floats(1, 2, 2, 2).double()), fd.DTypeError, "float64"),
    "affine theta": (lambda: F.affine_grid(floats(1, 2, 2), (1, 1, 2, 2)), fd.ShapeError, "theta"),
    "channel_shuffle": (lambda: F.channel_shuffle(floats(1, 3, 2), 2), fd.ShapeError, "groups"),
    "embedding_bag place": (lambda: F.embedding_bag(ints(0, 7), floats(5, 3), ints(0)), fd.IndexError, "7"),
    "embedding_bag offsets": (lambda: F.embedding_bag(ints(0, 1), floats(5, 3), ints(0, 3)), fd.ValueError, "offsets"),
    "multi_margin label": (lambda: F.multi_margin_loss(floats(2, 3), ints(0, 3)), fd.IndexError, "3"),
    "multilabel label": (lambda: F.multilabel_margin_loss(floats(3), ints(0, 3, -1)), fd.IndexError, "3"),
    "triplet margin": (lambda: F.triplet_margin_loss(floats(3), floats(3), floats(3), margin=0), fd.ValueError, "margin"),
    "gaussian variance": (lambda: F.gaussian_nll_loss(floats(3), floats(3), -floats(3)), fd.ValueError, "negative"),
    "ctc label": (lambda: F.ctc_loss(floats(5, 1, 3), fd.tensor([[1, 3]]), ints(5), ints(2)), fd.IndexError, "3"),
    "ctc lengths": (lambda: F.ctc_loss(floats(5, 1, 3), fd.tensor([[1, 2]]), ints(6), ints(2)), fd.ValueError, "input_lengths"),
    "ctc blank": (lambda: F.ctc_loss(floats(5, 1, 3), fd.tensor([[1, 2]]), ints(5), ints(2), blank=3), fd.IndexError, "blank"),
    "batch_norm eps": (lambda: F.batch_norm(floats(2, 3), None, None, training=True, eps=0.0), fd.ValueError, "eps"),
    "rotary width": (lambda: F.rotary_embedding(floats(2, 3), floats(2, 1), floats(2, 1)), fd.ShapeError, "rotary_embedding"),
    "lstm width": (lambda: fd.nn.LSTM(3, 4)(floats(5, 2, 7)), fd.ShapeError, "7"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name):
    call, error, *words = CASES[name]
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value), f"{caught.value!r} does not say {word!r}"


def test_module_errors_name_the_path():
    class Net(fd.nn.Module):
        def __init__(self):
            super().__init__()
            self.classifier = fd.nn.Sequential(fd.nn.Linear(784, 10))

        def forward(self, x):
            return self.classifier(x)

    with pytest.raises(fd.ShapeError) as caught:
        Net()(floats(32, 100))
    for word in ("linear", "[32, 100]", "784", "classifier.0"):
        assert word in str(caught.value)


def test_saved_tensor_changed_in_place():
    x = fd.ones(3, requires_grad=True)
    y = x.exp()
    z = y * y
    y.add_(1.0)
    with pytest.raises(fd.VersionError):
        z.sum().backward()


def test_second_backward():
    x = fd.ones(3, requires_grad=True)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(fd.Error, match="retain_graph"):
        y.backward()


def test_a_long_graph_is_released_without_recursion(run_python):
    code = """
import fastdl as fd
x = fd.ones(1, requires_grad=True)
y = x
for _ in range(300_000):
    y = y + 1.0
y.backward()
y = x
for _ in range(300_000):
    y = y + 1.0
del y
print(x.grad.item())
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1.0"
