"""No object of a CPU level offers a symbol that code outside the level could be linked to.

Each kernel file is compiled for several instruction sets. A weak symbol in it (a template or inline function of the
standard library, say) exists once per level, the linker keeps one copy for all, and a CPU without AVX-512 may get that
of the AVX-512 level. So every symbol that these objects define must lie in the level's own namespace.

FASTDL_BUILD_DIR names a CMake build folder, all of whose objects are checked (.ci/run sets it). Without it a few kernel
files are compiled here, at the level with the most to lose.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLAGS = {
    "base": ["-march=x86-64-v2"],
    "avx2": ["-march=x86-64-v3"],
    "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}
COMPILED_HERE = ("softmax.cpp", "probe.cpp")


def strangers(path, level):
    """Global and weak symbols that an object defines outside its level's namespace."""
    lines = subprocess.run(
        ["nm", "--defined-only", "--extern-only", str(path)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    names = [line.split()[-1] for line in lines if line.strip()]
    namespace = re.compile(rf"_Z[A-Z]*N[KVr]*6fastdl3cpu{len(level)}{level}\d")
    return [n for n in names if not namespace.match(n)]


def objects():
    build = os.environ.get("FASTDL_BUILD_DIR")
    if not build:
        return []
    return [(level, path) for level in FLAGS for path in sorted(Path(build).rglob(f"cpu_{level}.dir/**/*.o"))]


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not installed")
def test_level_objects_define_nothing_outside_their_namespace(tmp_path):
    found = objects()
    assert found or "FASTDL_BUILD_DIR" not in os.environ, "no objects in FASTDL_BUILD_DIR"
    if not found:
        compiler = shutil.which(os.environ.get("CXX", "c++"))
        if compiler is None:
            pytest.skip("no C++ compiler")
        for file in COMPILED_HERE:
            target = tmp_path / f"{file}.o"
            command = [
                compiler,
                "-std=gnu++20",
                "-O1",
                "-fPIC",
                "-fno-exceptions",
                "-fno-rtti",
                "-w",
                f"-I{ROOT / 'csrc'}",
                *FLAGS["avx512"],
            ]
            subprocess.run(
                [
                    *command,
                    "-DFASTDL_CPU_NAMESPACE=fastdl::cpu::avx512",
                    "-c",
                    str(ROOT / "csrc/cpu/kernels" / file),
                    "-o",
                    str(target),
                ],
                check=True,
            )
            found.append(("avx512", target))
    for level, path in found:
        assert not strangers(path, level), f"{path.name} ({level}): {strangers(path, level)}"
