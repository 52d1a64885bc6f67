// What a kernel is told besides its arguments.
#pragma once

namespace fastdl {

struct Context {
  int device_index;
  void* stream;  // CUDA only
};

}  // namespace fastdl
