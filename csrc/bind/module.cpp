// The extension module fastdl._C.
#include <pybind11/pybind11.h>

#include "autograd/accumulate.h"
#include "bind/accelerator.h"
#include "bind/autograd.h"
#include "bind/capture.h"
#include "bind/complex.h"
#include "bind/convert.h"
#include "bind/cuda_array.h"
#include "bind/dlpack.h"
#include "bind/errors.h"
#include "bind/interop.h"
#include "bind/module_type.h"
#include "bind/observe.h"
#include "bind/ops.h"
#include "bind/size_type.h"
#include "bind/types.h"
#include "core/allocator.h"
#include "core/cgroup.h"
#include "core/parallel.h"
#include "cpu/backend.h"
#include "ops/launch.h"
#include "ops/ops.h"
#include "ops/precision.h"

namespace py = pybind11;
using namespace fastdl;

namespace {

void init_runtime(py::module_& m) {
  m.def("get_num_threads", &num_threads);
  m.def("set_num_threads", [](py::object n) { set_num_threads(static_cast<int>(bind::int_from(n.ptr()))); });
  m.def("cpu_level", [] { return cpu::level_name(cpu::level()); });
  m.def("cpu_levels", [] {
    py::list out;
    for (cpu::Level l : {cpu::Level::base, cpu::Level::avx2, cpu::Level::avx512})
      if (cpu::level_supported(l)) out.append(cpu::level_name(l));
    return out;
  });
  m.def("set_cpu_level", [](const std::string& name) {
    for (cpu::Level l : {cpu::Level::base, cpu::Level::avx2, cpu::Level::avx512})
      if (name == cpu::level_name(l)) {
        cpu::set_level(l);
        set_kernel_table(DeviceType::cpu, &cpu::kernels());
        return;
      }
    throw ValueError(str("set_cpu_level: '", name, "', expected base, avx2 or avx512"));
  });
  m.def("winograd_enabled", &ops::winograd_enabled);
  m.def("set_winograd_enabled", &ops::set_winograd_enabled);
  m.def("memory_stats", [] {
    const MemoryStats s = cpu_memory().stats();
    py::dict d;
    d["bytes_in_use"] = s.bytes_in_use;
    d["bytes_cached"] = s.bytes_cached;
    d["peak_bytes"] = s.peak_bytes;
    d["blocks_in_use"] = s.blocks_in_use;
    d["allocations"] = s.allocations;
    d["cache_misses"] = s.cache_misses;
    return d;
  });
  m.def("reset_peak_memory_stats", [] { cpu_memory().reset_peak(); });
  m.def("empty_cache", [] { cpu_memory().empty_cache(); });
  m.def("set_cache_limit", [](py::object bytes) {
    const int64_t n = bind::int_from(bytes.ptr());
    if (n < 0) throw ValueError(str("set_cache_limit: expected a number of bytes, got ", n));
    cpu_memory().set_cache_limit(static_cast<size_t>(n));
  });
  m.def("available_threads", &available_threads);
  m.def(
      "cgroup_limits",
      [](const std::string& cgroup_file, const std::string& mountinfo_file) {
        const CgroupLimits limits = cgroup_limits(cgroup_file, mountinfo_file);
        return py::make_tuple(limits.cpus, limits.memory_bytes);
      },
      py::arg("cgroup_file") = "/proc/self/cgroup", py::arg("mountinfo_file") = "/proc/self/mountinfo");
  m.def("default_dtype", [] { return py::reinterpret_borrow<py::object>(bind::dtype_object(default_dtype())); });
  m.def("set_default_dtype", [](py::object t) { set_default_dtype(bind::dtype_from(t.ptr())); });
  m.def("promote_types", [](py::object a, py::object b) {
    return py::reinterpret_borrow<py::object>(
        bind::dtype_object(promote(bind::dtype_from(a.ptr()), bind::dtype_from(b.ptr()))));
  });
  m.def("float32_matmul_precision", [] { return static_cast<int>(ops::precision.matmul.load()); });
  m.def("set_float32_matmul_precision", [](int p) { ops::precision.matmul = static_cast<ops::MatmulPrecision>(p); });
  m.def("convolution_tf32", [] { return ops::precision.convolution_tf32.load(); });
  m.def("set_convolution_tf32", [](bool allowed) { ops::precision.convolution_tf32 = allowed; });
}

}  // namespace

PYBIND11_MODULE(_C, m) {
  m.doc() = "fastdl's kernels, tensors and autograd.";
  py::register_exception_translator([](std::exception_ptr p) {
    if (!p) return;
    try {
      std::rethrow_exception(p);
    } catch (const py::builtin_exception&) {
      throw;  // pybind11's own
    } catch (...) {
      bind::set_exception();
    }
  });

  num_threads();  // FASTDL_NUM_THREADS
  configure_memory();
  set_kernel_table(DeviceType::cpu, &cpu::kernels());
  set_engine_ops({ops::add, ops::zeros, ops::ones_like, ops::clone, [](const Tensor& a, const Tensor& b) { ops::add_(a, b); },
                  [](const Tensor& to, const Tensor& from) { ops::copy_(to, from); }, ops::as_strided,
                  [](const Tensor& t) { return ops::item_scalar(ops::any(ops::isnan(t), {}, false)).i != 0; }});
  set_blocking_hooks({[]() -> void* { return PyEval_SaveThread(); },
                      [](void* state) { PyEval_RestoreThread(static_cast<PyThreadState*>(state)); }});

  if (!bind::init_errors(m.ptr()) || !bind::init_size_type(m.ptr()) || !bind::init_tensor_type(m.ptr()) ||
      !bind::init_module_type(m.ptr()))
    throw py::error_already_set();
  bind::init_types(m.ptr());
  bind::init_interop(m.ptr());
  bind::init_complex(m.ptr());
  bind::init_dlpack(m.ptr());
  bind::init_cuda_array(m.ptr());
  bind::init_observe(m.ptr());
  bind::init_autograd(m.ptr());
  bind::init_capture(m.ptr());
  bind::init_accelerator(m.ptr());
  init_runtime(m);
  try {
    bind::init_ops(m.ptr());
  } catch (const bind::PythonError&) {
    throw py::error_already_set();
  }
}
