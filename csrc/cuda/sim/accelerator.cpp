// core/accelerator.h on the simulated device. Everything is done when it is asked for, so streams and events are names.
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "cuda/device/runtime.h"
#include "cuda/sim/runtime.h"

namespace fastdl::cuda {
namespace {

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

const Accelerator table = {
    .name = "simulated CUDA device",
    .unavailable = []() -> const char* { return nullptr; },
    .device_count = sim::device_count,
    .properties =
        [](int, DeviceProperties* out) { *out = {"simulated device", 9, 0, 4, static_cast<int64_t>(sim::device_memory())}; },
    .take_error = sim::take_error,
    .allocate = [](int device, void*, size_t bytes) { return sim::allocate(device, bytes); },
    .deallocate = [](int device, void*, void* block) { sim::deallocate(device, block); },
    .free_memory =
        [](int device, size_t* free, size_t* total) {
          *total = sim::device_memory();
          *free = *total - sim::memory_in_use(device);
        },
    .release_cached = [](int) {},
    .allocate_pinned = [](size_t bytes) { return std::aligned_alloc(64, (bytes + 63) / 64 * 64); },
    .deallocate_pinned = std::free,
    .copy_to_device = [](int, void*, void* to, const void* from, size_t bytes) { sim::copy(to, from, bytes); },
    .copy_to_host = [](int, void*, void* to, const void* from, size_t bytes) { sim::copy(to, from, bytes); },
    .copy_between = [](int, void* to, int, const void* from, void*, size_t bytes) { sim::copy(to, from, bytes); },
    .create_stream = [](int, int) -> void* { return new char; },
    .destroy_stream = [](int, void* stream) { delete static_cast<char*>(stream); },
    .stream_idle = [](int, void*) { return true; },
    .synchronize_stream = [](int, void*) {},
    .synchronize = [](int) {},
    .create_event = [](int, bool) -> void* { return new double(0); },
    .destroy_event = [](int, void* event) { delete static_cast<double*>(event); },
    .record_event = [](int, void* event, void*) { *static_cast<double*>(event) = now_ms(); },
    .event_reached = [](int, void*) { return true; },
    .synchronize_event = [](int, void*) {},
    .wait_event = [](int, void*, void*) {},
    .elapsed_ms = [](int, void* start,
                     void* end) { return static_cast<float>(*static_cast<double*>(end) - *static_cast<double*>(start)); },
};

}  // namespace

const Accelerator& runtime() { return table; }

}  // namespace fastdl::cuda
