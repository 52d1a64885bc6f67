# The device libraries: fastdl/_cuda.so (nvcc) and fastdl/_cuda_sim.so (the same kernels on the simulated device).
# OFF until the library has run on a GPU; AUTO builds it where nvcc 13 is found.
set(FASTDL_CUDA OFF CACHE STRING "Build the CUDA library: AUTO, ON or OFF")
set(FASTDL_CUDA_ARCHS "80-real;86-real;89-real;90a-real;100-real;120" CACHE STRING
    "GPU architectures, as in CMAKE_CUDA_ARCHITECTURES (the last brings PTX for newer ones)")
option(FASTDL_CUDA_SIM "Build the simulated CUDA device, for tests without a GPU" OFF)

file(GLOB cuda_kernels CONFIGURE_DEPENDS csrc/cuda/kernels/*.cu)
list(APPEND cuda_kernels csrc/cuda/backend.cu)

if(FASTDL_CUDA_SIM)
  file(GLOB simulator CONFIGURE_DEPENDS csrc/cuda/sim/*.cpp)
  set_source_files_properties(${cuda_kernels} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++")
  set_source_files_properties(${simulator} PROPERTIES COMPILE_OPTIONS "-O3")
  add_library(_cuda_sim MODULE ${cuda_kernels} ${simulator})
  target_link_libraries(_cuda_sim PRIVATE fastdl_options)
  # Fibers on small stacks: no stack protector; vector types and storage types are read through each other's pointers.
  target_compile_options(_cuda_sim PRIVATE -march=x86-64-v3 -O1 -g1 -fno-strict-aliasing -fno-stack-protector -Wno-unknown-pragmas
                                               -ftls-model=initial-exec)
  set_target_properties(_cuda_sim PROPERTIES PREFIX "" SUFFIX ".so")
  install(TARGETS _cuda_sim LIBRARY DESTINATION fastdl)
endif()

if(NOT FASTDL_CUDA STREQUAL "OFF" AND NOT FASTDL_CUDA_SIM)
  set(CMAKE_CUDA_ARCHITECTURES ${FASTDL_CUDA_ARCHS})  # before the compiler is looked for, which would set another
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
  endif()
  if(CMAKE_CUDA_COMPILER AND CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
    set(CMAKE_CUDA_STANDARD 20)
    set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
    # Files whose instructions only one architecture has are compiled for it alone.
    set(hopper_kernels ${cuda_kernels})
    list(FILTER hopper_kernels INCLUDE REGEX "_hopper\\.cu$")
    list(REMOVE_ITEM cuda_kernels ${hopper_kernels})
    add_library(cuda_hopper OBJECT ${hopper_kernels})
    set_target_properties(cuda_hopper PROPERTIES CUDA_ARCHITECTURES 90a-real POSITION_INDEPENDENT_CODE ON)
    add_library(_cuda MODULE ${cuda_kernels} csrc/cuda/device/runtime.cu $<TARGET_OBJECTS:cuda_hopper>)
    foreach(target _cuda cuda_hopper)
      target_include_directories(${target} PRIVATE csrc)
      target_compile_options(${target} PRIVATE -O3 --expt-relaxed-constexpr --extended-lambda -Wno-deprecated-gpu-targets)
    endforeach()
    set_target_properties(_cuda PROPERTIES PREFIX "" SUFFIX ".so")
    target_link_options(_cuda PRIVATE -Wl,-s)
    install(TARGETS _cuda LIBRARY DESTINATION fastdl)
  elseif(FASTDL_CUDA STREQUAL "ON")
    message(FATAL_ERROR "FASTDL_CUDA=ON: nvcc 13 or newer was not found")
  endif()
endif()
