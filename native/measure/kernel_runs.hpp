// Repeated calls of one kernel, timed.
#pragma once

#include "estimators/query_work.hpp"
#include "kernels/kernels.hpp"
#include "support/control.hpp"

namespace deepzero {

enum class KernelName { MultiplyAdds, Convolution, Winograd, Activate, ActivateChange, ChangeMoments };

struct KernelRun {
  KernelName kernel = KernelName::MultiplyAdds;
  // A 3×3 convolution with padding 1, from `channels` to `outputs` channels of size × size pixels. Other kernels use
  // `channels` alone; multiplyAdds has no shape.
  int channels = 1, outputs = 1, size = 1, stride = 1;
  int calls = 1;  // by every thread

  ConvolutionShape convolution() const {
    const int outSize = (size - 1) / stride + 1;
    return {{channels, size, size, 1}, {outputs, outSize, outSize, 0}, 3, 3, stride, 1};
  }
};

// The work of one call, and the time of all calls.
struct KernelCost {
  Work work;         // for all images of the block
  double bytes = 0;  // size of the values read and written, each counted once
  // All calls of the slowest thread by its own clock, once its buffers are in memory and in the caches.
  double seconds = 0;
};

// Calls the kernel on every thread, each on its own image block. Throws Cancelled.
KernelCost runKernel(const Kernels& kernels, const KernelRun& run, const Control& control);

}  // namespace deepzero
