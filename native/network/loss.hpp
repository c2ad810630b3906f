// Losses of a mini-batch from outputs in the images-in-lanes layout, in double.
#pragma once

#include "kernels/kernels.hpp"
#include "network/problem.hpp"

namespace deepzero {

// The loss's sum over the images of one block. `outputs` is that block of the network's output.
template <typename Scalar>
double blockLoss(const Problem& problem, const Map& map, const Scalar* outputs, int block);

// What the blocks' sum is divided by for the mean: images, or all elements for the losses over elements.
double lossCount(const Problem& problem, const Map& map);

}  // namespace deepzero
