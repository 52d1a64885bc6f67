#!/usr/bin/env bash
# Everything that wants a GPU, in one call of under nine minutes: builds the CUDA library for the chip at hand, runs the
# conformance test of the device primitives (and saves its results as fixtures of the simulated device), the kernels'
# tests, compute-sanitizer, and the benchmark against PyTorch (cuBLAS, cuDNN) and CuPy.
#
#   bench/gpu_session.sh              writes gpu.json, gpu.md and the steps' logs into $OUT (default: build/gpu-session)
#   bench/gpu_session.sh bench        only the steps named (and the build, unless there is one)
#
# It needs an NVIDIA driver, nvcc 13, g++, CMake and a Python with NumPy; no network. PYTHON names that Python; WHEELS a
# folder of wheels to use besides its packages (pybind11, pytest, hypothesis). A step that fails or runs past its limit
# stops no other. The machine's settings stay as they are.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
root=$PWD
out=${OUT:-$root/build/gpu-session}
python=${PYTHON:-python3}
build=$root/build/gpu
jobs=$(nproc)
wanted=("$@")
mkdir -p "$out" "$build"
: > "$out/steps.tsv"
export PYTHONUNBUFFERED=1 PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}

chosen() {
  [ ${#wanted[@]} -eq 0 ] && return 0
  local w
  for w in "${wanted[@]}"; do [ "$w" = "$1" ] && return 0; done
  return 1
}

# step NAME LIMIT FUNCTION: runs it in a shell of its own, with its output in a log, for at most LIMIT seconds.
step() {
  chosen "$1" || return 0
  local start=$SECONDS code
  timeout --kill-after=5 "$2" bash -c 'set -euo pipefail; "$1"' _ "$3" > "$out/$1.log" 2>&1
  code=$?
  printf '%s\t%d\t%d\t%d\n' "$1" "$code" $((SECONDS - start)) "$2" >> "$out/steps.tsv"
  printf '%-12s exit %d after %d s\n' "$1" "$code" $((SECONDS - start))
  [ "$code" -eq 0 ] || [ "$code" -eq 77 ] || tail -n 15 "$out/$1.log"
  return 0
}

# The compute capability without its dot: 90.
capability() { nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d '. '; }
# Some instructions exist for one architecture only, under its name with an a.
architecture() {
  local c
  c=$(capability)
  case $c in 90) echo 90a ;; *) echo "$c" ;; esac
}

device() {
  {
    nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader
    nvcc --version | grep release
    "$python" - <<'PY'
import platform
from importlib import metadata, util
print("Python", platform.python_version())
owners = metadata.packages_distributions()
for name in ("numpy", "torch", "cupy", "pytest", "hypothesis", "pybind11"):
    print(name, metadata.version(owners[name][0]) if util.find_spec(name) and name in owners else "is not installed")
PY
  } | tee "$out/device.txt"
}

# pybind11's own CMake files or, where only its headers are (PyTorch has them), as much of them as this project uses.
pybind11_folder() {
  "$python" -m pybind11 --cmakedir 2> /dev/null && return
  local headers
  headers=$("$python" -c 'import importlib.util as u, os; print(os.path.join(os.path.dirname(u.find_spec("torch").origin), "include"))')
  [ -f "$headers/pybind11/pybind11.h" ] || { echo "pybind11 is not installed" >&2; return 1; }
  mkdir -p "$build/pybind11"
  cat > "$build/pybind11/pybind11Config.cmake" <<CMAKE
function(pybind11_add_module target)
  list(REMOVE_ITEM ARGN MODULE NO_EXTRAS)
  Python_add_library(\${target} MODULE WITH_SOABI \${ARGN})
  target_include_directories(\${target} SYSTEM PRIVATE "$headers")
endfunction()
CMAKE
  echo "$build/pybind11"
}

build() {
  local generator=() level=avx2 folder
  command -v ninja > /dev/null && generator=(-G Ninja)
  grep -q avx512dq /proc/cpuinfo && level=avx512
  folder=$(pybind11_folder)
  cmake -S "$root" -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DFASTDL_CUDA=ON "-DFASTDL_CUDA_ARCHS=$(architecture)-real" \
    "-DFASTDL_LEVELS=$level" "-Dpybind11_DIR=$folder" "-DPython_EXECUTABLE=$("$python" -c 'import sys; print(sys.executable)')"
  cmake --build "$build" -j "$jobs"
  cp "$build"/_C*.so "$build/_cuda.so" "$root/fastdl/"
  "$python" -c 'import fastdl as fd; print(fd.cuda.why_unavailable() or fd.cuda.get_device_name())'
}

# The device's results become tests/device/primitives.txt, which the simulated device is then held to.
primitives() {
  nvcc -std=c++20 -O3 --expt-relaxed-constexpr --extended-lambda "-gencode=arch=compute_$(architecture),code=sm_$(architecture)" \
    -I "$root/csrc" "$root/tests/device/primitives.cu" -o "$build/primitives"
  "$build/primitives" > "$out/primitives.txt"
  cp "$out/primitives.txt" "$root/tests/device/primitives.txt"
  "$python" -c 'import pytest' || return 77
  FASTDL_CUDA='' "$python" -m pytest -q -p no:cacheprovider "$root/tests/test_device_primitives.py"
}

kernels() { "$python" -m bench.hot_kernels; }

tests() {
  "$python" -c 'import pytest, hypothesis' || return 77
  FASTDL_CUDA=gpu "$python" -m pytest -q -p no:cacheprovider --maxfail=100 "--junit-xml=$out/tests.xml" -m "not slow and not compare" \
    tests/test_{cuda_arrays,capture,matmul,attention,conv,norm,softmax,loss,optim_kernels,rnn,ops}.py
}

memcheck() {
  command -v compute-sanitizer > /dev/null || return 77
  compute-sanitizer --tool memcheck --error-exitcode 1 "$python" -m bench.hot_kernels
}
racecheck() {
  command -v compute-sanitizer > /dev/null || return 77
  compute-sanitizer --tool racecheck --error-exitcode 1 "$python" -m bench.hot_kernels
}

bench() { "$python" -m bench "gpu *" --device cuda --vs torch,cupy --rounds 5 --seconds 85 --json "$out/bench.json"; }

export -f capability architecture device pybind11_folder build primitives kernels tests memcheck racecheck bench
export out python root build jobs

if [ -n "${WHEELS:-}" ]; then
  "$python" -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$build/site" "$WHEELS"/*.whl
  export PYTHONPATH=$build/site:$PYTHONPATH
fi
start=$SECONDS
step device 20 device
if chosen build || [ ! -f "$root/fastdl/_cuda.so" ]; then
  [ ${#wanted[@]} -eq 0 ] || wanted+=(build)
  step build 210 build
fi
step primitives 60 primitives
step kernels 25 kernels
step bench 110 bench
step memcheck 35 memcheck
step racecheck 35 racecheck
step tests $((530 - (SECONDS - start) > 30 ? 525 - (SECONDS - start) : 30)) tests
"$python" -m bench.gpu_report "$out"
