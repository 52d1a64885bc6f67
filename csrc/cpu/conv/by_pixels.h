// Convolution for groups that write few channels, depthwise above all: vectors of pixels instead of channels.
#pragma once
#include "cpu/conv/geometry.h"

namespace FASTDL_CPU_NAMESPACE {

void conv_by_pixels(const ConvPass& pass);
void conv_weight_by_pixels(const ConvWeightArgs& a);

}  // namespace FASTDL_CPU_NAMESPACE
