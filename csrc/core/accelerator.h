// What the library needs of a device that is not the CPU. The device's own library, loaded on first use, fills one table
// of functions; the rest of the library reaches memory, streams and events through it and never sees CUDA.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/device.h"

namespace fastdl {

struct DeviceProperties {
  char name[256];
  int32_t major, minor, multiprocessors;
  int64_t total_memory;
};

// Functions of the device's library. They do not throw: after a failure take_error() says what happened. `stream` is a
// handle from create_stream, or null for the device's default stream.
struct Accelerator {
  const char* name;                  // for error messages
  const char* (*unavailable)();      // why there is no device; null if there is one
  int (*device_count)();
  void (*properties)(int device, DeviceProperties* out);
  const char* (*take_error)();       // of the first failure since the last call; null: none

  void* (*allocate)(int device, void* stream, size_t bytes);  // null: no memory left
  void (*deallocate)(int device, void* stream, void* block);
  void (*free_memory)(int device, size_t* free, size_t* total);
  void (*release_cached)(int device);
  int (*device_of)(const void* memory);  // whose memory it is; -1: no device's
  void* (*allocate_pinned)(size_t bytes);
  void (*deallocate_pinned)(void* block);

  // to_host waits for the data; to_device returns when pageable memory may change, and at once for pinned memory.
  void (*copy_to_device)(int device, void* stream, void* to, const void* from, size_t bytes);
  void (*copy_to_host)(int device, void* stream, void* to, const void* from, size_t bytes);
  void (*copy_between)(int to_device, void* to, int from_device, const void* from, void* stream, size_t bytes);

  void* (*create_stream)(int device, int priority);
  bool (*stream_idle)(int device, void* stream);
  void (*synchronize_stream)(int device, void* stream);
  void (*synchronize)(int device);
  void* (*create_event)(int device, bool timing);
  void (*destroy_event)(int device, void* event);
  void (*record_event)(int device, void* event, void* stream);
  bool (*event_reached)(int device, void* event);
  void (*synchronize_event)(int device, void* event);
  void (*wait_event)(int device, void* stream, void* event);  // work put into the stream from now on waits
  float (*elapsed_ms)(int device, void* start, void* end);

  // Kernels called with the stream that begin_graph returns are taken down in place of run; end_graph gives them as one
  // object, or null where that is not possible.
  void* (*begin_graph)(int device);
  void* (*end_graph)(int device, void* stream);
  void (*launch_graph)(int device, void* graph, void* stream);
  void (*destroy_graph)(int device, void* graph);
};

// Throws DeviceError, with the reason, where there is none.
const Accelerator& accelerator();
bool has_accelerator();                          // loads nothing
void set_accelerator(const Accelerator* table);
// Called by accelerator() when none is set yet; returns why it cannot be loaded, or an empty string.
void set_accelerator_loader(std::string (*load)());

// Throws what take_error() reports, as an error of `op`.
void check_accelerator(const char* op);

// The calling thread's device and its stream on each device.
int current_device();
void set_current_device(int index);
void* current_stream(int device);
void set_current_stream(int device, void* stream);
// Where tensors are made when no device is named; the CPU unless set. Of the whole process.
Device default_device();
void set_default_device(Device device);
// `device` as given, with the index of the current device where none was named; throws if it does not exist.
Device checked_device(Device device);

// Streams are handed out again after their release and never destroyed: memory that was allocated on one goes back to it.
void* acquire_stream(int device, int priority);
void release_stream(int device, int priority, void* stream);
// Work put into the stream `to` from now on waits for what `from` holds now.
void order_streams(int device, void* from, void* to);

// Between the host and the memory of any device, the CPU too; the calling thread waits.
void copy_to_host(Device device, void* to, const void* from, size_t bytes);
void copy_from_host(Device device, void* to, const void* from, size_t bytes);

struct AcceleratorStats {
  int64_t bytes_in_use, peak_bytes, blocks_in_use, allocations;
};
AcceleratorStats accelerator_stats(int device);
void reset_accelerator_peak(int device);
void* accelerator_allocate(int device, size_t bytes);  // on the current stream; throws OutOfMemoryError
void accelerator_deallocate(int device, void* stream, void* block, size_t bytes);

}  // namespace fastdl
