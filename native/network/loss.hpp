// Losses of a mini-batch, computed in double from outputs in the images-in-lanes layout.
#pragma once

#include "kernels/kernels.hpp"
#include "network/problem.hpp"

namespace deepzero {

// The sum of the loss over the images of one block. `outputs` is that block of the network's output.
template <typename Scalar>
double blockLoss(const Problem& problem, const Map& map, const Scalar* outputs, int block);

// The gradient of the mean loss with respect to the outputs of one block, in a map without border; 0 in unused lanes
// and without a loss.
template <typename Scalar>
void blockLossGradient(const Problem& problem, const Map& map, const Scalar* outputs, int block, Scalar* gradient);

// The divisor of the mean: the number of images for the cross-entropy and without a loss, of output elements for the
// other losses.
double lossCount(const Problem& problem, const Map& map);

}  // namespace deepzero
