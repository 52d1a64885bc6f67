#include "core/accelerator.h"

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "core/error.h"

namespace fastdl {
namespace {

constexpr int kMaxDevices = 64;

const Accelerator* table = nullptr;
std::string (*loader)() = nullptr;

thread_local int device_in_use = 0;
thread_local void* streams[kMaxDevices] = {};

struct Counters {
  std::atomic<int64_t> bytes{0}, peak{0}, blocks{0}, allocations{0};
};
Counters counters[kMaxDevices];

}  // namespace

void set_accelerator(const Accelerator* t) { table = t; }
void set_accelerator_loader(std::string (*load)()) { loader = load; }
bool has_accelerator() { return table != nullptr; }

const Accelerator& accelerator() {
  if (FASTDL_UNLIKELY(!table)) {
    const std::string reason = loader ? loader() : "this build has the CPU backend only";
    if (!table) throw DeviceError(str("device cuda is not available: ", reason));
  }
  return *table;
}

void check_accelerator(const char* op) {
  if (const char* message = accelerator().take_error()) throw DeviceError(str(op, ": ", accelerator().name, ": ", message));
}

int current_device() { return device_in_use; }
void set_current_device(int index) { device_in_use = checked_device({DeviceType::cuda, static_cast<int8_t>(index)}).index; }
void* current_stream(int device) { return streams[device]; }
void set_current_stream(int device, void* stream) { streams[device] = stream; }

namespace {
std::mutex idle_lock;
std::map<std::pair<int, int>, std::vector<void*>> idle_streams;  // by device and priority
}  // namespace

void* acquire_stream(int device, int priority) {
  {
    const std::lock_guard guard(idle_lock);
    std::vector<void*>& idle = idle_streams[{device, priority}];
    if (!idle.empty()) {
      void* stream = idle.back();
      idle.pop_back();
      return stream;
    }
  }
  return accelerator().create_stream(device, priority);
}
void release_stream(int device, int priority, void* stream) {
  const std::lock_guard guard(idle_lock);
  idle_streams[{device, priority}].push_back(stream);
}

void order_streams(int device, void* from, void* to) {
  if (from == to) return;
  const Accelerator& a = accelerator();
  void* event = a.create_event(device, false);
  a.record_event(device, event, from);
  a.wait_event(device, to, event);
  a.destroy_event(device, event);
}

static Device default_device_in_use;
Device default_device() { return default_device_in_use; }
void set_default_device(Device device) { default_device_in_use = checked_device(device); }

Device checked_device(Device device) {
  if (device.is_cpu()) return device;
  const int count = accelerator().device_count();
  if (const char* reason = accelerator().unavailable(); reason || count == 0)
    throw DeviceError(str("device cuda is not available: ", reason ? reason : "no device was found"));
  if (device.index < 0) device.index = static_cast<int8_t>(current_device());
  if (device.index >= count)
    throw DeviceError(str("device ", device.name(), " does not exist: there ", count == 1 ? "is " : "are ", count,
                          count == 1 ? " device" : " devices"));
  return device;
}

void copy_to_host(Device device, void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  if (device.is_cpu()) std::memcpy(to, from, bytes);
  else accelerator().copy_to_host(device.index, current_stream(device.index), to, from, bytes);
}
void copy_from_host(Device device, void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  if (device.is_cpu()) std::memcpy(to, from, bytes);
  else accelerator().copy_to_device(device.index, current_stream(device.index), to, from, bytes);
}

AcceleratorStats accelerator_stats(int device) {
  const Counters& c = counters[device];
  return {c.bytes, c.peak, c.blocks, c.allocations};
}
void reset_accelerator_peak(int device) { counters[device].peak = counters[device].bytes.load(); }

void* accelerator_allocate(int device, size_t bytes) {
  if (bytes == 0) return nullptr;
  const Accelerator& a = accelerator();
  void* block = a.allocate(device, current_stream(device), bytes);
  Counters& c = counters[device];
  if (!block) {
    size_t free = 0, total = 0;
    a.free_memory(device, &free, &total);
    a.take_error();
    throw OutOfMemoryError(str("out of memory on cuda:", device, ": ", bytes, " bytes asked for, ", free, " of ", total,
                               " free, ", c.bytes.load(), " in ", c.blocks.load(), " tensors"));
  }
  const int64_t now = c.bytes += static_cast<int64_t>(bytes);
  int64_t peak = c.peak;
  while (now > peak && !c.peak.compare_exchange_weak(peak, now)) {
  }
  ++c.blocks;
  ++c.allocations;
  return block;
}

void accelerator_deallocate(int device, void* stream, void* block, size_t bytes) {
  if (!block) return;
  Counters& c = counters[device];
  c.bytes -= static_cast<int64_t>(bytes);
  --c.blocks;
  table->deallocate(device, stream, block);
}

}  // namespace fastdl
