// The simulated device's memory and launches. Device memory is an address range of its own for each device, closed to
// the host except while a kernel or a copy runs: a host access to a device pointer stops the program at once, and a kernel
// that is handed a host pointer is reported. New memory is filled with NaN; blocks are kept apart, and under
// AddressSanitizer the gaps, and freed blocks, are poisoned.
//
// FASTDL_SIM_DEVICES  how many devices there are (default: 1)
// FASTDL_SIM_MEMORY   bytes of each (default: 4 GiB)
#pragma once
#include <cstddef>
#include <functional>
#include <vector>

#include "cuda/sim/scheduler.h"

namespace fastdl::cuda::sim {

int device_count();
size_t device_memory();
void* allocate(int device, size_t bytes);  // null: no memory left
void deallocate(int device, void* block);
size_t memory_in_use(int device);
int device_of(const void* p);  // -1: no device's memory
inline bool is_device_pointer(const void* p) { return device_of(p) >= 0; }
void copy(void* to, const void* from, size_t bytes);
void fill_bytes(void* to, int value, size_t bytes);

// Device memory is open while one of these lives.
class Access {
 public:
  Access();
  ~Access();
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;
};

// The kernels of a graph: taken down while a stream is one's, and run by run_graph.
using Graph = std::vector<std::function<void()>>;
void* begin_graph();              // the stream
Graph* end_graph(void* stream);
Graph* graph_of(void* stream);    // null: work put into it runs at once

// Reports a word of a kernel's arguments that is an address outside device memory.
void check_arguments(const void* arguments, size_t bytes);

}  // namespace fastdl::cuda::sim
