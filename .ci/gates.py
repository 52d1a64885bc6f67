"""What nvcc makes of the CUDA kernels, checked without a GPU.

python .ci/gates.py                    the hot kernels, for every architecture, and as PTX
python .ci/gates.py --arch 80 90a      ... for these
python .ci/gates.py --every --arch 80  that every file compiles without a warning; hot kernels as before
python .ci/gates.py --files softmax    only these files

Of a hot kernel, no instance may spill registers or use local memory, and its machine code must have the instructions
that it is written for. Exits with 1 if something is wrong, with 77 where nvcc or cuobjdump cannot be had. Programs are
looked for in PATH, in CUDA_HOME, and where the packages nvidia-cuda-nvcc, nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm
put them.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CUDA = ROOT / "csrc/cuda"
ARCHITECTURES = ("80", "86", "89", "90a", "100", "120")
FLAGS = ("-std=c++20", "-O3", "--expt-relaxed-constexpr", "--extended-lambda", f"-I{ROOT / 'csrc'}")


class Hot(NamedTuple):
    """A kernel, in every instance that its file has."""

    file: str
    kernel: str
    instructions: tuple = ()  # in the machine code of each


TENSOR_CORES = ("HMMA", "LDSM", "LDGSTS")  # mma.sync, ldmatrix, cp.async
HOT = (
    Hot("matmul_mma", "multiply_mma", TENSOR_CORES),
    Hot("matmul_hopper", "multiply_wgmma", ("HGMMA", "UTMALDG")),
    Hot("conv_mma", "multiply_mma", TENSOR_CORES),
    Hot("conv_weight", "multiply_mma", TENSOR_CORES),
    Hot("attention_mma", "attention_forward_tiles", TENSOR_CORES),
    Hot("attention_tf32", "attention_forward_tiles", TENSOR_CORES),
    Hot("attention_backward_mma", "attention_backward_tiles", TENSOR_CORES),
    Hot("attention_backward_tf32", "attention_backward_tiles", TENSOR_CORES),
)


def architectures_of(file, wanted):
    """Files named for Hopper have instructions that only it has (cmake/cuda.cmake)."""
    return [a for a in wanted if a == "90a" or not file.endswith("_hopper")]


def find(program):
    """A program's path, or None."""
    places = [os.path.join(os.environ[v], "bin") for v in ("CUDA_HOME", "CUDA_PATH") if v in os.environ]
    places.append(os.path.join(sysconfig.get_path("purelib"), "nvidia", "cu13", "bin"))
    return shutil.which(program) or shutil.which(program, path=os.pathsep.join(places))


class Report(NamedTuple):
    """What ptxas says of a kernel."""

    stack: int
    stores: int
    loads: int
    registers: int


def reports(text):
    """The kernels in what ptxas -v prints: mangled name to Report."""
    entries = re.split(r"Compiling entry function '", text)[1:]
    pattern = r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads[\s\S]*?Used (\d+) registers"
    return {e.split("'", 1)[0]: Report(*map(int, re.search(pattern, e).groups())) for e in entries}


def machine_code(text):
    """The functions in what cuobjdump -sass prints: mangled name to the set of its instructions' names."""
    functions = re.split(r"\n\s*Function : ", text)[1:]
    opcode = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?([A-Z][A-Z0-9_]*)")
    return {f.split("\n", 1)[0].strip(): set(opcode.findall(f)) for f in functions}


def faults(hot, found, code):
    """What is wrong with a hot kernel's instances, as lines."""
    names = [n for n in found if hot.kernel in n]
    if not names:
        yield f"{hot.file}: has no kernel {hot.kernel}"
    for name in names:
        r, instructions = found[name], code.get(name, set())
        if r.stores or r.loads:
            yield f"{name}: spills {r.stores} bytes and reads {r.loads}"
        if r.stack or instructions & {"LDL", "STL"}:
            yield f"{name}: uses local memory ({r.stack} bytes)"
        if missing := set(hot.instructions) - instructions:
            yield f"{name}: without {', '.join(sorted(missing))}"


def check(file, arch, nvcc, cuobjdump, folder):
    """Compiles one file for one architecture; what is wrong, and a line about it."""
    start = time.monotonic()
    cubin = folder / f"{file}.{arch}.cubin"
    source = next(p for p in (CUDA / d / f"{file}.cu" for d in ("kernels", ".", "device")) if p.exists())
    target = f"-gencode=arch=compute_{arch},code=sm_{arch}"
    built = subprocess.run(
        [nvcc, *FLAGS, target, "-Xptxas", "-v", "-cubin", source, "-o", cubin], capture_output=True, text=True
    )
    output = built.stdout + built.stderr
    wrong = [line for line in output.splitlines() if re.search(r"\b(error|warning)\b", line)]
    if built.returncode:
        return wrong or [output[-500:]], f"{file} sm_{arch}: does not compile"
    found = reports(output)
    hot = [h for h in HOT if h.file == file]
    if hot:
        listing = subprocess.run([cuobjdump, "-sass", cubin], capture_output=True, text=True, check=True).stdout
        code = machine_code(listing)
        wrong += [line for h in hot for line in faults(h, found, code)]
    most = max((r.registers for r in found.values()), default=0)
    seconds = time.monotonic() - start
    return wrong, f"{file} sm_{arch}: {len(found)} kernels, at most {most} registers, {seconds:.0f} s"


def check_ptx(file, nvcc, folder):
    """The same for PTX, which the driver compiles for architectures that come later."""
    target = f"compute_{ARCHITECTURES[-1]}"
    command = [nvcc, *FLAGS, "-arch", target, "-ptx", CUDA / "kernels" / f"{file}.cu", "-o", folder / f"{file}.ptx"]
    built = subprocess.run(command, capture_output=True, text=True)
    return (built.stderr.splitlines()[-3:] or ["failed"]) if built.returncode else [], f"{file} {target}: PTX"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", nargs="+", default=ARCHITECTURES, choices=ARCHITECTURES, metavar="ARCH")
    parser.add_argument("--files", nargs="+")
    parser.add_argument("--every", action="store_true")
    parser.add_argument("-j", type=int, default=2, help="files at a time")
    options = parser.parse_args()
    nvcc, cuobjdump = find("nvcc"), find("cuobjdump")
    if not nvcc or not cuobjdump or not find("nvdisasm"):
        print("nvcc, cuobjdump and nvdisasm of CUDA 13 are not installed")
        return 77
    os.environ["PATH"] = os.pathsep.join(
        [*{str(Path(find(p)).parent): 0 for p in ("nvcc", "nvdisasm")}, os.environ["PATH"]]
    )
    files = options.files or sorted({h.file for h in HOT})
    if options.every:
        files = sorted(
            p.stem for p in [*(CUDA / "kernels").glob("*.cu"), CUDA / "backend.cu", CUDA / "device/runtime.cu"]
        )
    bad = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.j) as pool:
        folder = Path(folder)
        jobs = [
            pool.submit(check, f, a, nvcc, cuobjdump, folder) for f in files for a in architectures_of(f, options.arch)
        ]
        if "120" in options.arch:
            hot = [f for f in files if any(h.file == f for h in HOT) and not f.endswith("_hopper")]
            jobs += [pool.submit(check_ptx, f, nvcc, folder) for f in hot]
        for job in jobs:
            wrong, line = job.result()
            print(line, flush=True)
            for w in wrong:
                print("  " + w, flush=True)
            bad += len(wrong)
    print(f"{bad} faults" if bad else "no faults")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
