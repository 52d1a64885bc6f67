"""What `import fastdl` costs and loads."""

import statistics


def test_import_loads_neither_numpy_nor_torch(run_python):
    heavy = {"numpy", "torch", "cupy", "scipy", "matplotlib"}
    code = f"import sys, fastdl; print(sorted({heavy} & {{m.split('.')[0] for m in sys.modules}}))"
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_tensors_work_without_numpy(run_python):
    code = """
import sys
sys.modules["numpy"] = None
import fastdl as fd
x = fd.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
(x @ x).sum().backward()
print(x.grad.tolist(), "numpy" in {m for m in sys.modules if sys.modules[m]})
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[[7.0, 11.0], [9.0, 13.0]] False"


def test_import_time(run_python, tmp_path):
    """In CPU time of the process, beyond an empty program, from byte code; the median of several."""

    def cpu_seconds(code):
        code = f"{code}\nimport time; print(time.process_time())"
        done = run_python(code, PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX=str(tmp_path / "bytecode"))
        assert done.returncode == 0, done.stderr
        return float(done.stdout)

    cpu_seconds("import fastdl")  # writes the byte code
    extra = [cpu_seconds("import fastdl") - cpu_seconds("pass") for _ in range(7)]
    assert statistics.median(extra) <= 0.040, f"import fastdl takes {extra} s"


def test_levels_from_the_environment(run_python):
    from fastdl import _C

    for level in _C.cpu_levels():
        done = run_python("import fastdl; print(fastdl.cpu_level())", FASTDL_ISA=level)
        assert done.stdout.strip() == level, done.stderr
    done = run_python("import fastdl", FASTDL_ISA="sse9")
    assert done.returncode != 0
    assert "FASTDL_ISA=sse9" in done.stderr
