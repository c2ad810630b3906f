// The loss, and the point and mini-batch that it is evaluated at.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/kernels.hpp"

namespace deepzero {

// None where the loss of the outputs is computed elsewhere: in its place is 0, or NaN if an output is not finite.
enum class Loss { CrossEntropy, MeanSquaredError, MeanAbsoluteError, None };

// A point in parameter space and a mini-batch. It owns nothing: the caller keeps the arrays alive during the
// computation, which only reads them.
struct Problem {
  const float* parameters = nullptr;  // [Graph::parameterCount()]
  const float* statistics = nullptr;  // [Graph::statisticsCount()]
  const float* images = nullptr;      // [count][channel][row][column]
  int count = 0;                      // images, > 0
  Loss loss = Loss::CrossEntropy;
  const std::int32_t* labels = nullptr;  // cross-entropy: [count], each below the number of outputs
  const float* targets = nullptr;        // other losses: [count][output]
  bool training = true;                  // batch norm uses batch statistics
};

// The number of images in a block: kLanes, or fewer in the last block.
inline int lanesOf(const Problem& problem, int block) { return std::min(kLanes, problem.count - block * kLanes); }

}  // namespace deepzero
