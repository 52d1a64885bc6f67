// core/accelerator.h on the simulated device. Everything is done when it is asked for, so streams and events are names.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>

#include "cuda/device/runtime.h"
#include "cuda/sim/runtime.h"

namespace fastdl::cuda {
namespace {

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::mutex stream_lock;
std::set<void*> streams;

void* create_stream() {
  const std::lock_guard guard(stream_lock);
  return *streams.insert(new char).first;
}
// The default streams have numbers in place of handles: null or 1, and 2 for the calling thread's.
bool check_stream(void* stream) {
  const std::lock_guard guard(stream_lock);
  if (reinterpret_cast<uintptr_t>(stream) <= 2 || streams.contains(stream)) return true;
  sim::set_error("invalid resource handle: no such stream, or it was destroyed");
  return false;
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
    .device_of = sim::device_of,
    .allocate_pinned = [](size_t bytes) { return std::aligned_alloc(64, (bytes + 63) / 64 * 64); },
    .deallocate_pinned = std::free,
    .copy_to_device = [](int, void*, void* to, const void* from, size_t bytes) { sim::copy(to, from, bytes); },
    .copy_to_host = [](int, void*, void* to, const void* from, size_t bytes) { sim::copy(to, from, bytes); },
    .copy_between = [](int, void* to, int, const void* from, void*, size_t bytes) { sim::copy(to, from, bytes); },
    .create_stream = [](int, int) -> void* { return create_stream(); },
    .stream_idle = [](int, void* stream) { return check_stream(stream); },
    .synchronize_stream = [](int, void* stream) { check_stream(stream); },
    .synchronize = [](int) {},
    .create_event = [](int, bool) -> void* { return new double(0); },
    .destroy_event = [](int, void* event) { delete static_cast<double*>(event); },
    .record_event =
        [](int, void* event, void* stream) {
          if (check_stream(stream)) *static_cast<double*>(event) = now_ms();
        },
    .event_reached = [](int, void*) { return true; },
    .synchronize_event = [](int, void*) {},
    .wait_event = [](int, void* stream, void*) { check_stream(stream); },
    .elapsed_ms = [](int, void* start,
                     void* end) { return static_cast<float>(*static_cast<double*>(end) - *static_cast<double*>(start)); },
    .begin_graph = [](int) { return sim::begin_graph(); },
    .end_graph = [](int, void* stream) -> void* { return sim::end_graph(stream); },
    .launch_graph =
        [](int, void* graph, void* stream) {
          if (!check_stream(stream)) return;
          for (const auto& run : *static_cast<sim::Graph*>(graph)) run();
        },
    .destroy_graph = [](int, void* graph) { delete static_cast<sim::Graph*>(graph); },
};

}  // namespace

const Accelerator& runtime() { return table; }

}  // namespace fastdl::cuda
