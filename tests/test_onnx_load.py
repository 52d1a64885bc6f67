"""fastdl.onnx.load: what a loaded model is, bad files, and models of other makers."""

import os

import numpy as np
import pytest

import fastdl as fd

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FLOAT = TensorProto.FLOAT


def info(name, shape=(2, 3), kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes, inputs=None, outputs=None, initializers=(), opset=20, functions=(), domains=()):
    graph = helper.make_graph(nodes, "g", inputs or [info("x")], outputs or [info("y", ("a", "b"))], list(initializers))
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=9)


def array(name, values):
    return numpy_helper.from_array(np.array(values, np.float32), name)


X = fd.tensor([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]])


@pytest.fixture
def linear(tmp_path):
    nodes = [
        helper.make_node("Gemm", ["x", "fc.weight", "fc.bias"], ["h"], transB=1),
        helper.make_node("Add", ["h", "type"], ["s"]),
        helper.make_node("Reshape", ["s", "shape"], ["y"]),
    ]
    weights = [
        array("fc.weight", [[1, 2, 3], [4, 5, 6]]), array("fc.bias", [1, -1]), array("type", 0.5),
        numpy_helper.from_array(np.array([-1]), "shape"),
    ]  # fmt: skip
    path = tmp_path / "linear.onnx"
    onnx.save(model(nodes, [info("x", ("batch", 3))], initializers=weights), path)
    return path


def test_a_loaded_model_is_a_module(linear):
    m = fd.onnx.load(linear)
    expected = X.numpy(force=True) @ np.array([[1, 2, 3], [4, 5, 6.0]]).T + [1.5, -0.5]
    assert m(X).tolist() == expected.reshape(-1).tolist()
    assert m(x=X.numpy(force=True)).tolist() == m(X).tolist()
    assert m(X[:1]).shape == (2,)
    assert m.input_names == ("x",)
    assert m.output_names == ("y",)
    assert set(m.state_dict()) == {"fc.weight", "fc.bias", "type_", "shape"}
    assert not m.training
    assert not m(X).requires_grad
    assert "x -> y, 3 nodes" in repr(m)


def test_weights_can_be_trained_and_cast(linear):
    m = fd.onnx.load(linear)
    m.fc.requires_grad_(True)
    m(X).sum().backward()
    assert m.fc.weight.grad.tolist() == [X.sum(0).tolist()] * 2
    optimizer = fd.optim.SGD([p for p in m.parameters() if p.requires_grad], lr=0.1)
    before = m(X).tolist()
    optimizer.step()
    assert m(X).tolist() != before


def test_inputs_are_checked(linear):
    m = fd.onnx.load(linear)
    with pytest.raises(fd.ShapeError, match=r"'x' has shape \[2, 2\], expected \[batch, 3\]"):
        m(X[:, :2])
    with pytest.raises(fd.ShapeError, match="'x'"):
        m(X[0])
    with pytest.raises(fd.DTypeError, match="'x' is float64, expected float32"):
        m(X.double())
    with pytest.raises(TypeError, match="takes 1 inputs"):
        m(X, X)
    with pytest.raises(TypeError, match="'x' is missing"):
        m()
    with pytest.raises(TypeError, match="no further input 'z'"):
        m(X, z=X)


def test_errors_name_the_node():
    m = fd.onnx.load(
        model([helper.make_node("MatMul", ["x", "w"], ["y"], name="product")], initializers=[array("w", [[1, 2]])])
    )
    with pytest.raises(fd.ShapeError, match=r"matmul.*in node product \(MatMul\)"):
        m(X)


def test_a_model_s_own_functions_and_their_attributes():
    scale = helper.make_node("LeakyRelu", ["a"], ["b"])
    scale.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    function = helper.make_function(
        "own", "Steep", ["a"], ["c"], [scale, helper.make_node("Neg", ["b"], ["c"])],
        [helper.make_opsetid("", 20)], ["slope"],
    )  # fmt: skip
    nodes = [
        helper.make_node("Steep", ["x"], ["h"], domain="own", slope=0.5),
        helper.make_node("Steep", ["h"], ["y"], domain="own", slope=1.0),
    ]
    m = fd.onnx.load(model(nodes, functions=[function], domains=["own"]))
    assert m(X).tolist() == fd.where(X > 0, X, X * 0.5).tolist()


def test_branches_see_the_values_around_them():
    then = helper.make_graph([helper.make_node("Mul", ["x", "two"], ["t"])], "then", [], [info("t")])
    other = helper.make_graph([helper.make_node("Neg", ["h"], ["e"])], "else", [], [info("e")])
    nodes = [
        helper.make_node("Abs", ["x"], ["h"]),
        helper.make_node("If", ["flag"], ["y"], then_branch=then, else_branch=other),
    ]
    inputs = [info("x"), info("flag", (), TensorProto.BOOL)]
    m = fd.onnx.load(model(nodes, inputs, initializers=[array("two", 2)]))
    assert m(X, fd.tensor(True)).tolist() == (X * 2).tolist()
    assert m(X, fd.tensor(False)).tolist() == (-X.abs()).tolist()


# --- bad files


def test_unknown_operators_are_all_named():
    nodes = [
        helper.make_node("Foo", ["x"], ["a"], domain="acme", name="first"),
        helper.make_node("Foo", ["a"], ["b"], domain="acme", name="second"),
        helper.make_node("StringConcat", ["b", "b"], ["y"]),
    ]
    with pytest.raises(ValueError, match=r"acme\.Foo \(node first, node second\); StringConcat \(node 2\)"):
        fd.onnx.load(model(nodes, domains=["acme"]))


def test_unknown_operators_inside_branches_are_named():
    branch = helper.make_graph([helper.make_node("Bar", [], ["t"], domain="acme")], "then", [], [info("t")])
    node = helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch, name="choice")
    with pytest.raises(ValueError, match=r"acme\.Bar \(node choice/0, node choice/0\)"):
        fd.onnx.load(model([node], [info("flag", (), TensorProto.BOOL)], domains=["acme"]))


def test_opsets():
    node = helper.make_node("Relu", ["x"], ["y"])
    with pytest.raises(ValueError, match="opset 99, expected at most 28"):
        fd.onnx.load(model([node], opset=99))
    with pytest.raises(ValueError, match="opset 0 and cannot be converted"):
        fd.onnx.load(model([node], opset=0))
    with pytest.raises(ValueError, match=r"Gelu \(not in opset 13\)"):
        fd.onnx.load(model([helper.make_node("Gelu", ["x"], ["y"])], opset=9))
    with pytest.raises(ValueError, match=r"Gelu \(not in opset 13\) \(node 0\)"):
        fd.onnx.load(model([helper.make_node("Gelu", ["x"], ["y"])], opset=13))
    without = model([node])
    del without.opset_import[:]
    with pytest.raises(ValueError, match="imports no version"):
        fd.onnx.load(without)
    for opset in range(6, 29):
        assert fd.onnx.load(model([node], opset=opset))(X).tolist() == X.relu().tolist()


def test_graphs_that_are_no_graphs():
    a, b = helper.make_node("Add", ["x", "c"], ["b"], name="a"), helper.make_node("Neg", ["b"], ["c"], name="b")
    with pytest.raises(
        ValueError, match=r"node a \(Add\) of g reads 'c', which nothing before it gives; the graph is cyclic"
    ):
        fd.onnx.load(model([a, b], outputs=[info("c")]))
    with pytest.raises(ValueError, match="no node gives the output 'y'"):
        fd.onnx.load(model([helper.make_node("Neg", ["x"], ["z"])]))
    with pytest.raises(ValueError, match="gives 'y', which is given before"):
        fd.onnx.load(model([helper.make_node("Neg", ["x"], ["y"])] * 2))
    function = helper.make_function(
        "own", "F", ["a"], ["b"], [helper.make_node("F", ["a"], ["b"], domain="own")], [helper.make_opsetid("own", 1)]
    )
    with pytest.raises(ValueError, match="calls itself"):
        fd.onnx.load(model([helper.make_node("F", ["x"], ["y"], domain="own")], functions=[function], domains=["own"]))


def test_attributes_that_do_not_fit():
    with pytest.raises(ValueError, match="speed"):
        fd.onnx.load(model([helper.make_node("Relu", ["x"], ["y"], speed=1)]))
    with pytest.raises(ValueError, match="axis|no valid model"):
        fd.onnx.load(model([helper.make_node("Concat", ["x", "x"], ["y"])]))


def test_damaged_files(linear, tmp_path):
    content = linear.read_bytes()
    path = tmp_path / "x.onnx"
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match="onnx: "):
            fd.onnx.load(path)
    path.write_bytes(os.urandom(500))
    with pytest.raises(ValueError, match="onnx: "):
        fd.onnx.load(path)
    with pytest.raises(FileNotFoundError):
        fd.onnx.load(tmp_path / "missing.onnx")


def test_bytes_that_do_not_fit_a_shape():
    weight = TensorProto(name="w", data_type=FLOAT, dims=[2, 3], raw_data=b"1234")
    with pytest.raises(ValueError, match="initializer 'w' is damaged"):
        fd.onnx.load(model([helper.make_node("Add", ["x", "w"], ["y"])], initializers=[weight]))
    weight.dims[0] = -2
    with pytest.raises(ValueError, match="initializer 'w' is damaged"):
        fd.onnx.load(model([helper.make_node("Add", ["x", "w"], ["y"])], initializers=[weight]))


def test_models_of_older_opsets_are_converted():
    """Their Softmax flattened what follows the axis; Squeeze had axes as an attribute; Clip its limits."""
    nodes = [
        helper.make_node("Clip", ["x"], ["c"], min=-3.0, max=4.0),
        helper.make_node("Unsqueeze", ["c"], ["u"], axes=[0]),
        helper.make_node("Softmax", ["u"], ["s"], axis=1),
        helper.make_node("Squeeze", ["s"], ["y"], axes=[0]),
    ]
    expected = X.clamp(-3, 4).reshape(-1).softmax(0).reshape(2, 3)
    np.testing.assert_allclose(
        fd.onnx.load(model(nodes, opset=9))(X).numpy(force=True), expected.numpy(force=True), rtol=1e-6
    )


# --- external data


def external(path, location, opset=20, **more):
    weight = TensorProto(name="w", data_type=FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        weight.external_data.add(key=key, value=str(value))
    path.write_bytes(
        model([helper.make_node("Add", ["x", "w"], ["y"])], initializers=[weight], opset=opset).SerializeToString()
    )


def test_external_data(tmp_path):
    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    path = folder / "x.onnx"
    values = np.arange(5, dtype=np.float32)
    (folder / "data" / "w.bin").write_bytes(values.tobytes())
    external(path, "data/w.bin", offset=4, length=12)
    assert fd.onnx.load(path)(X).tolist() == (X.numpy(force=True) + values[1:4]).tolist()
    external(path, "data/w.bin", opset=9, offset=0, length=12)
    assert fd.onnx.load(path)(X).tolist() == (X.numpy(force=True) + values[:3]).tolist()


@pytest.mark.parametrize("location", ["../secret", "{root}/secret", "link", "missing", "", "data/../../secret"])
def test_external_data_outside_of_the_folder_is_refused(tmp_path, location):
    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(bytes(12))
    (folder / "link").symlink_to(tmp_path / "secret")
    external(folder / "x.onnx", location.format(root=tmp_path))
    with pytest.raises(ValueError, match="no file in the model's folder; refused"):
        fd.onnx.load(folder / "x.onnx")


@pytest.mark.parametrize(
    "more", [{"length": 16}, {"offset": 8, "length": 12}, {"offset": -4, "length": 12}, {"offset": "x"}, {}]
)
def test_external_data_of_another_size_is_refused(tmp_path, more):
    (tmp_path / "w.bin").write_bytes(bytes(16))
    external(tmp_path / "x.onnx", "w.bin", **more)
    with pytest.raises(ValueError, match="needs 12 bytes"):
        fd.onnx.load(tmp_path / "x.onnx")


def test_a_missing_package_is_named(run_python):
    done = run_python("import sys; sys.modules['onnx'] = None; import fastdl as fd; fd.onnx.load('x.onnx')")
    assert "pip install 'fastdl[onnx]'" in done.stderr


# --- models of PyTorch's exporter


def torch_models(torch):
    nn = torch.nn

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=2)
            self.norm = nn.BatchNorm2d(8)

        def forward(self, x):
            return torch.relu(x + self.norm(self.b(nn.functional.hardswish(self.a(x)))))

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.rnn = nn.Embedding(20, 6), nn.LSTM(6, 5, 2, bidirectional=True, batch_first=True)
            self.gru, self.out = nn.GRU(10, 4, batch_first=True), nn.Linear(4, 3)

        def forward(self, ids):
            y, _ = self.rnn(self.embed(ids))
            return self.out(self.gru(y)[0]).log_softmax(-1)

    class Up(nn.Module):
        def forward(self, x):
            y = nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            z = nn.functional.interpolate(x, size=(5, 9), mode="nearest")
            return y, nn.functional.pad(z, (1, 2, 0, 1), mode="reflect"), nn.functional.adaptive_avg_pool2d(x, 1)

    image = torch.randn(2, 3, 8, 8)
    cnn = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        Residual(),
        nn.MaxPool2d(2),
        nn.Flatten(1),
        nn.Linear(32, 5),
        nn.Softmax(1),
    )
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True), 2)
    return {
        "cnn": (cnn, (image,)),
        "tagger": (Tagger(), (torch.randint(0, 20, (2, 7)),)),
        "encoder": (encoder, (torch.randn(2, 5, 8),)),
        "resize": (Up(), (image,)),
        "transposed": (nn.Sequential(nn.ConvTranspose2d(3, 4, 3, 2, 1, 1), nn.InstanceNorm2d(4), nn.PReLU()), (image,)),
    }


@pytest.mark.compare
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["cnn", "tagger", "encoder", "resize", "transposed"])
def test_files_of_pytorch_s_exporter(torch, tmp_path, name):
    torch.manual_seed(0)
    module, args = torch_models(torch)[name]
    module.eval()
    path = tmp_path / "x.onnx"
    torch.onnx.export(module, args, path, dynamo=False, opset_version=17)
    with torch.no_grad():
        expected = module(*args)
    expected = expected if isinstance(expected, tuple) else (expected,)
    actual = fd.onnx.load(path)(*(fd.tensor(a.numpy(force=True)) for a in args))
    actual = actual if isinstance(actual, tuple) else (actual,)
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected):
        np.testing.assert_allclose(a.numpy(force=True), b.numpy(force=True), rtol=1e-4, atol=1e-5)
