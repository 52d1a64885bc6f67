// Launching a kernel:  launch(kernel<float>, {grid, block, sizeof(Shared)}, context, arguments...);
#pragma once
#include <tuple>
#include <type_traits>

#include "cuda/device/language.h"
#include "kernels/context.h"
#if FASTDL_SIMULATED
#include "cuda/sim/runtime.h"
#endif

namespace fastdl::cuda {

struct LaunchShape {
  dim3 grid, block;
  size_t shared_bytes = 0;
  unsigned cluster = 1;      // blocks along x that share a cluster (sm_90)
  bool cooperative = false;  // all blocks run at the same time, see device/grid.h; at most one a multiprocessor
};

// `items` threads of a grid in blocks of `block`, not more blocks than `limit`: kernels stride over the rest.
inline unsigned blocks_for(int64_t items, int64_t block, int64_t limit = int64_t{1} << 30) {
  const int64_t blocks = (items + block - 1) / block;
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks < limit ? blocks : limit);
}

#if FASTDL_SIMULATED
// Of a copy without what lies in its padding, which may look like an address. (An empty class shares its byte with others,
// and GCC 12 clears more than the padding in arrays of structs.)
template <class T> void check_argument(T v) {
  if constexpr (std::is_empty_v<T>) return;
#if __has_builtin(__builtin_clear_padding)
  if constexpr (std::is_class_v<T>) __builtin_clear_padding(&v);
#endif
  sim::check_arguments(&v, sizeof v);
}
#endif

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const LaunchShape& shape, const Context& context, Arguments&&... arguments) {
  if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) return;
#if FASTDL_SIMULATED
  using Values = std::tuple<std::decay_t<Parameters>...>;
  struct Call {
    void (*kernel)(Parameters...);
    Values values;
    LaunchShape shape;

    void operator()() {
      const sim::Access access;
      const unsigned side_by_side = shape.cooperative ? shape.grid.x * shape.grid.y * shape.grid.z : shape.cluster;
      sim::run_grid(
          {shape.grid, shape.block, shape.shared_bytes, side_by_side},
          [](void* p) { std::apply(static_cast<Call*>(p)->kernel, static_cast<Call*>(p)->values); }, this);
    }
  } call{kernel, Values(static_cast<std::decay_t<Parameters>>(arguments)...), shape};
  std::apply([](const auto&... v) { (check_argument(v), ...); }, call.values);
  if (sim::Graph* graph = sim::graph_of(context.stream)) graph->push_back(call);
  else call();
#else
  cudaSetDevice(context.device_index);
  if (shape.shared_bytes > (48 << 10))
    cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                         static_cast<int>(shape.shared_bytes));
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = static_cast<cudaStream_t>(context.stream);
  cudaLaunchAttribute attributes[2]{};
  config.attrs = attributes;
  if (shape.cluster > 1) {
    cudaLaunchAttribute& a = attributes[config.numAttrs++];
    a.id = cudaLaunchAttributeClusterDimension;
    a.val.clusterDim.x = shape.cluster;
    a.val.clusterDim.y = a.val.clusterDim.z = 1;
  }
  if (shape.cooperative) {
    cudaLaunchAttribute& a = attributes[config.numAttrs++];
    a.id = cudaLaunchAttributeCooperative;
    a.val.cooperative = 1;
  }
  cudaLaunchKernelEx(&config, kernel, static_cast<std::decay_t<Parameters>>(arguments)...);
#endif
}

// Of the device that the context names.
inline int multiprocessors([[maybe_unused]] const Context& context) {
#if FASTDL_SIMULATED
  return 4;
#else
  int n = 0;
  cudaDeviceGetAttribute(&n, cudaDevAttrMultiProcessorCount, context.device_index);
  return n;
#endif
}
// 10 * major + minor of the compute capability; the simulated device is a 90.
inline int capability([[maybe_unused]] const Context& context) {
#if FASTDL_SIMULATED
  return 90;
#else
  int major = 0, minor = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, context.device_index);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, context.device_index);
  return 10 * major + minor;
#endif
}

}  // namespace fastdl::cuda
