// Memory, streams and events of the device: the functions behind core/accelerator.h, from the CUDA runtime or from the
// simulated device.
#pragma once
#include "core/accelerator.h"

namespace fastdl::cuda {

const Accelerator& runtime();

}  // namespace fastdl::cuda
