// Losses of a mini-batch from outputs in the images-in-lanes layout, in double.
#pragma once

#include "kernels/kernels.hpp"
#include "network/problem.hpp"

namespace deepzero {

// The loss's sum over the images of one block. `outputs` is that block of the network's output.
template <typename Scalar>
double blockLoss(const Problem& problem, const Map& map, const Scalar* outputs, int block);

// The gradient of the mean loss with respect to the outputs of one block, in a map without border; 0 for images that
// there are not.
template <typename Scalar>
void blockLossGradient(const Problem& problem, const Map& map, const Scalar* outputs, int block, Scalar* gradient);

// What the blocks' sum is divided by for the mean: images, or all elements for the losses over elements.
double lossCount(const Problem& problem, const Map& map);

}  // namespace deepzero
