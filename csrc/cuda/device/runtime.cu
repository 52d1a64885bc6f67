// core/accelerator.h on the CUDA runtime. Memory comes from each device's default pool (cudaMallocAsync), told to keep
// what is freed.
#include "cuda/device/runtime.h"

#include <cuda_runtime.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <mutex>

namespace fastdl::cuda {
namespace {

cudaStream_t as_stream(void* s) { return static_cast<cudaStream_t>(s); }
cudaEvent_t as_event(void* e) { return static_cast<cudaEvent_t>(e); }

// The first failure of a call since take_error; kernels' failures are found by cudaGetLastError.
thread_local cudaError_t first_error = cudaSuccess;
bool ok(cudaError_t e) {
  if (e == cudaSuccess) return true;
  if (first_error == cudaSuccess) first_error = e;
  cudaGetLastError();
  return false;
}

// The calling thread's device for the time of a call.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device) {
    ok(cudaGetDevice(&before_));
    if (before_ != device) ok(cudaSetDevice(device));
    changed_ = before_ != device;
  }
  ~DeviceGuard() {
    if (changed_) ok(cudaSetDevice(before_));
  }

 private:
  int before_ = 0;
  bool changed_ = false;
};

struct Found {
  int count = 0;
  char reason[256] = "";
};
const Found& found() {
  static const Found result = [] {
    Found f;
    int driver = 0;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
      std::snprintf(f.reason, sizeof f.reason, "no NVIDIA driver is installed (libcuda.so.1 was not found)");
    } else if (const cudaError_t e = cudaGetDeviceCount(&f.count); e != cudaSuccess) {
      f.count = 0;
      std::snprintf(f.reason, sizeof f.reason, "%s (driver for CUDA %d.%d, built for %d.%d)", cudaGetErrorString(e),
                    driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    } else if (f.count == 0) {
      std::snprintf(f.reason, sizeof f.reason, "the driver reports no device");
    }
    cudaGetLastError();
    return f;
  }();
  return result;
}

void keep_freed_memory(int device) {
  static std::atomic<uint64_t> done{0};
  if (done.load(std::memory_order_relaxed) >> device & 1) return;
  cudaMemPool_t pool;
  if (ok(cudaDeviceGetDefaultMemPool(&pool, device))) {
    uint64_t everything = UINT64_MAX;
    ok(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &everything));
  }
  done.fetch_or(uint64_t{1} << device);
}

const char* take_error() {
  cudaError_t e = first_error;
  first_error = cudaSuccess;
  const cudaError_t launched = cudaGetLastError();
  if (e == cudaSuccess) e = launched;
  if (e == cudaSuccess) return nullptr;
  static thread_local char text[320];
  const bool lost = e == cudaErrorIllegalAddress || e == cudaErrorLaunchFailure || e == cudaErrorMisalignedAddress ||
                    e == cudaErrorIllegalInstruction || e == cudaErrorAssert || e == cudaErrorHardwareStackError;
  std::snprintf(text, sizeof text, "%s (%s)%s", cudaGetErrorString(e), cudaGetErrorName(e),
                lost ? "; the device's context is lost, and this process cannot use it any more" : "");
  return text;
}

const Accelerator table = {
    .name = "CUDA",
    .unavailable = []() -> const char* { return found().count ? nullptr : found().reason; },
    .device_count = [] { return found().count; },
    .properties =
        [](int device, DeviceProperties* out) {
          cudaDeviceProp p;
          if (!ok(cudaGetDeviceProperties(&p, device))) return;
          std::snprintf(out->name, sizeof out->name, "%s", p.name);
          out->major = p.major;
          out->minor = p.minor;
          out->multiprocessors = p.multiProcessorCount;
          out->total_memory = static_cast<int64_t>(p.totalGlobalMem);
        },
    .take_error = take_error,
    .allocate = [](int device, void* stream, size_t bytes) -> void* {
      const DeviceGuard guard(device);
      keep_freed_memory(device);
      void* block = nullptr;
      cudaError_t e = cudaMallocAsync(&block, bytes, as_stream(stream));
      if (e == cudaErrorMemoryAllocation) {  // what other streams have freed may be usable after waiting for them
        cudaGetLastError();
        ok(cudaDeviceSynchronize());
        e = cudaMallocAsync(&block, bytes, as_stream(stream));
      }
      if (e == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        return nullptr;
      }
      return ok(e) ? block : nullptr;
    },
    .deallocate =
        [](int device, void* stream, void* block) {
          const DeviceGuard guard(device);
          ok(cudaFreeAsync(block, as_stream(stream)));
        },
    .free_memory =
        [](int device, size_t* free, size_t* total) {
          const DeviceGuard guard(device);
          ok(cudaMemGetInfo(free, total));
        },
    .release_cached =
        [](int device) {
          const DeviceGuard guard(device);
          cudaMemPool_t pool;
          ok(cudaDeviceSynchronize());
          if (ok(cudaDeviceGetDefaultMemPool(&pool, device))) ok(cudaMemPoolTrimTo(pool, 0));
        },
    .device_of = [](const void* memory) -> int {
      cudaPointerAttributes a{};
      if (cudaPointerGetAttributes(&a, memory) != cudaSuccess) return cudaGetLastError(), -1;
      return a.type == cudaMemoryTypeDevice || a.type == cudaMemoryTypeManaged ? a.device : -1;
    },
    .allocate_pinned = [](size_t bytes) -> void* {
      void* block = nullptr;
      return ok(cudaMallocHost(&block, bytes)) ? block : nullptr;
    },
    .deallocate_pinned = [](void* block) { ok(cudaFreeHost(block)); },
    .copy_to_device =
        [](int device, void* stream, void* to, const void* from, size_t bytes) {
          const DeviceGuard guard(device);
          ok(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, as_stream(stream)));
        },
    .copy_to_host =
        [](int device, void* stream, void* to, const void* from, size_t bytes) {
          const DeviceGuard guard(device);
          ok(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, as_stream(stream)));
          ok(cudaStreamSynchronize(as_stream(stream)));
        },
    .copy_between =
        [](int to_device, void* to, int from_device, const void* from, void* stream, size_t bytes) {
          const DeviceGuard guard(from_device);
          ok(cudaMemcpyPeerAsync(to, to_device, from, from_device, bytes, as_stream(stream)));
          ok(cudaStreamSynchronize(as_stream(stream)));
        },
    .create_stream = [](int device, int priority) -> void* {
      const DeviceGuard guard(device);
      cudaStream_t s = nullptr;
      return ok(cudaStreamCreateWithPriority(&s, cudaStreamNonBlocking, priority)) ? s : nullptr;
    },
    .stream_idle =
        [](int device, void* stream) {
          const DeviceGuard guard(device);
          const cudaError_t e = cudaStreamQuery(as_stream(stream));
          return e != cudaErrorNotReady && ok(e);
        },
    .synchronize_stream =
        [](int device, void* stream) {
          const DeviceGuard guard(device);
          ok(cudaStreamSynchronize(as_stream(stream)));
        },
    .synchronize =
        [](int device) {
          const DeviceGuard guard(device);
          ok(cudaDeviceSynchronize());
        },
    .create_event = [](int device, bool timing) -> void* {
      const DeviceGuard guard(device);
      cudaEvent_t e = nullptr;
      return ok(cudaEventCreateWithFlags(&e, timing ? cudaEventDefault : cudaEventDisableTiming)) ? e : nullptr;
    },
    .destroy_event =
        [](int device, void* event) {
          const DeviceGuard guard(device);
          ok(cudaEventDestroy(as_event(event)));
        },
    .record_event =
        [](int device, void* event, void* stream) {
          const DeviceGuard guard(device);
          ok(cudaEventRecord(as_event(event), as_stream(stream)));
        },
    .event_reached =
        [](int device, void* event) {
          const DeviceGuard guard(device);
          const cudaError_t e = cudaEventQuery(as_event(event));
          return e != cudaErrorNotReady && ok(e);
        },
    .synchronize_event =
        [](int device, void* event) {
          const DeviceGuard guard(device);
          ok(cudaEventSynchronize(as_event(event)));
        },
    .wait_event =
        [](int device, void* stream, void* event) {
          const DeviceGuard guard(device);
          ok(cudaStreamWaitEvent(as_stream(stream), as_event(event), 0));
        },
    .elapsed_ms =
        [](int device, void* start, void* end) {
          const DeviceGuard guard(device);
          float ms = 0;
          ok(cudaEventElapsedTime(&ms, as_event(start), as_event(end)));
          return ms;
        },
    .begin_graph = [](int device) -> void* {
      const DeviceGuard guard(device);
      cudaStream_t s = nullptr;  // of its own: a default stream cannot be captured
      if (!ok(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking))) return nullptr;
      ok(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
      return s;
    },
    .end_graph = [](int device, void* stream) -> void* {
      const DeviceGuard guard(device);
      cudaGraph_t graph = nullptr;
      cudaGraphExec_t exec = nullptr;
      if (ok(cudaStreamEndCapture(as_stream(stream), &graph)) && graph && !ok(cudaGraphInstantiate(&exec, graph, 0)))
        exec = nullptr;
      if (graph) ok(cudaGraphDestroy(graph));
      ok(cudaStreamDestroy(as_stream(stream)));
      return exec;
    },
    .launch_graph =
        [](int device, void* graph, void* stream) {
          const DeviceGuard guard(device);
          ok(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), as_stream(stream)));
        },
    .destroy_graph =
        [](int device, void* graph) {
          const DeviceGuard guard(device);
          ok(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)));
        },
};

}  // namespace

const Accelerator& runtime() { return table; }

}  // namespace fastdl::cuda
