#include "bind/accelerator.h"

#include <dlfcn.h>
#include <pybind11/pybind11.h>

#include <cstdlib>
#include <filesystem>

#include "bind/convert.h"
#include "core/error.h"
#include "kernels/library.h"
#include "ops/launch.h"

namespace py = pybind11;

namespace fastdl::bind {
namespace {

// The library beside this extension module: _cuda.so, or _cuda_sim.so where FASTDL_CUDA=sim asks for the simulated device.
std::string load_library() {
  const char* asked = std::getenv("FASTDL_CUDA");
  const bool simulated = asked && std::string_view(asked) == "sim";
  Dl_info self;
  if (!dladdr(reinterpret_cast<void*>(&init_accelerator), &self)) return "the extension module's path is not known";
  const std::filesystem::path path =
      std::filesystem::path(self.dli_fname).parent_path() / (simulated ? "_cuda_sim.so" : "_cuda.so");
  if (!std::filesystem::exists(path))
    return simulated ? "this build lacks the simulated device (build with -DFASTDL_CUDA_SIM=ON)"
                     : "this build has the CPU backend only (build with nvcc, or -DFASTDL_CUDA=ON to require it)";
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return dlerror();
  const auto get = reinterpret_cast<DeviceLibraryFunction>(dlsym(library, kDeviceLibrarySymbol));
  if (!get) return str(path.string(), " is no device library of fastdl");
  const DeviceLibrary& found = *get();
  if (found.fingerprint != kernel_fingerprint()) return str(path.string(), " belongs to another build of fastdl");
  set_kernel_table(DeviceType::cuda, found.kernels);
  set_accelerator(found.accelerator);
  return "";
}

// A handle of a stream or event as a Python int.
void* handle(const py::int_& i) { return reinterpret_cast<void*>(static_cast<uintptr_t>(i)); }
py::int_ number(void* p) { return py::int_(reinterpret_cast<uintptr_t>(p)); }

const Accelerator& checked(int device) {
  checked_device({DeviceType::cuda, static_cast<int8_t>(device)});
  return accelerator();
}

}  // namespace

void init_accelerator(PyObject* module) {
  py::module_ m = py::reinterpret_borrow<py::module_>(module);
  set_accelerator_loader(load_library);

  m.def("accelerator_count", [] {
    try {
      return accelerator().device_count();
    } catch (const DeviceError&) {
      return 0;
    }
  });
  m.def("accelerator_missing", []() -> std::string {  // why there is none
    try {
      checked_device({DeviceType::cuda, 0});
    } catch (const DeviceError& e) {
      return e.what();
    }
    return "";
  });
  m.def("accelerator_properties", [](int device) {
    DeviceProperties p{};
    checked(device).properties(device, &p);
    check_accelerator("get_device_properties");
    return py::make_tuple(std::string(p.name), p.major, p.minor, p.multiprocessors, p.total_memory);
  });
  m.def("current_device", &current_device);
  m.def("default_device", [] { return py::reinterpret_steal<py::object>(device_object(default_device())); });
  m.def("set_default_device", [](py::object d) { set_default_device(device_from(d.ptr())); });
  m.def("set_current_device", &set_current_device);
  m.def("accelerator_synchronize", [](int device) {
    const Accelerator& a = checked(device);
    {
      const py::gil_scoped_release release;
      a.synchronize(device);
    }
    check_accelerator("synchronize");
  });
  m.def("accelerator_memory", [](int device) {
    size_t free = 0, total = 0;
    checked(device).free_memory(device, &free, &total);
    check_accelerator("mem_get_info");
    return py::make_tuple(free, total);
  });
  m.def("accelerator_stats", [](int device) {
    checked(device);
    const AcceleratorStats s = accelerator_stats(device);
    py::dict d;
    d["bytes_in_use"] = s.bytes_in_use;
    d["peak_bytes"] = s.peak_bytes;
    d["blocks_in_use"] = s.blocks_in_use;
    d["allocations"] = s.allocations;
    return d;
  });
  m.def("reset_accelerator_peak", [](int device) {
    checked(device);
    reset_accelerator_peak(device);
  });
  m.def("accelerator_empty_cache", [](int device) {
    checked(device).release_cached(device);
    check_accelerator("empty_cache");
  });

  m.def("current_stream", [](int device) {
    return number(current_stream(checked_device({DeviceType::cuda, static_cast<int8_t>(device)}).index));
  });
  m.def("set_current_stream", [](int device, py::int_ stream) {
    checked(device);
    set_current_stream(device, handle(stream));
  });
  m.def("create_stream", [](int device, int priority) {
    checked(device);
    void* s = acquire_stream(device, priority);
    check_accelerator("Stream");
    return number(s);
  });
  m.def("release_stream", [](int device, int priority, py::int_ stream) { release_stream(device, priority, handle(stream)); });
  m.def("stream_idle", [](int device, py::int_ stream) {
    const bool idle = checked(device).stream_idle(device, handle(stream));
    check_accelerator("Stream.query");
    return idle;
  });
  m.def("synchronize_stream", [](int device, py::int_ stream) {
    const Accelerator& a = checked(device);
    void* s = handle(stream);
    {
      const py::gil_scoped_release release;
      a.synchronize_stream(device, s);
    }
    check_accelerator("Stream.synchronize");
  });
  m.def("order_streams", [](int device, py::int_ from, py::int_ to) {
    checked(device);
    order_streams(device, handle(from), handle(to));
    check_accelerator("wait_stream");
  });
  m.def("create_event", [](int device, bool timing) {
    void* e = checked(device).create_event(device, timing);
    check_accelerator("Event");
    return number(e);
  });
  m.def("destroy_event", [](int device, py::int_ event) { checked(device).destroy_event(device, handle(event)); });
  m.def("record_event", [](int device, py::int_ event, py::int_ stream) {
    checked(device).record_event(device, handle(event), handle(stream));
    check_accelerator("Event.record");
  });
  m.def("event_reached", [](int device, py::int_ event) {
    const bool reached = checked(device).event_reached(device, handle(event));
    check_accelerator("Event.query");
    return reached;
  });
  m.def("synchronize_event", [](int device, py::int_ event) {
    const Accelerator& a = checked(device);
    void* e = handle(event);
    {
      const py::gil_scoped_release release;
      a.synchronize_event(device, e);
    }
    check_accelerator("Event.synchronize");
  });
  m.def("wait_event", [](int device, py::int_ stream, py::int_ event) {
    checked(device).wait_event(device, handle(stream), handle(event));
    check_accelerator("Stream.wait_event");
  });
  m.def("elapsed_ms", [](int device, py::int_ start, py::int_ end) {
    const float ms = checked(device).elapsed_ms(device, handle(start), handle(end));
    check_accelerator("Event.elapsed_time");
    return ms;
  });
}

}  // namespace fastdl::bind
