// One step of a plan on one image block.
#pragma once

#include <type_traits>

#include "network/plan/plan.hpp"
#include "network/weights.hpp"

namespace deepzero {

template <typename Scalar>
const ValueKernels<Scalar>& valueKernels(const Kernels& kernels) {
  if constexpr (std::is_same_v<Scalar, double>) {
    return kernels.float64;
  } else {
    return kernels;
  }
}

// The convolution of an operation: by the Winograd kernel if there are transformed weights. `winograd` is its scratch.
template <typename Scalar>
void convolve(const Kernels& kernels, const ConvolutionShape& shape, const Scalar* in, const Weights& weights,
              int operation, const float* bias, float* winograd, Scalar* out) {
  if constexpr (std::is_same_v<Scalar, float>) {
    const float* transformed = weights.transformed(operation);
    if (transformed != nullptr) return kernels.winograd(shape, in, transformed, {bias}, winograd, out);
    kernels.convolution(shape, in, weights.weight(operation), bias, out);
  } else {
    kernels.float64.convolution(shape, in, weights.wideWeight(operation), bias, out);
  }
}

// The blocks that a step reads and writes, and the affine map of an activation.
template <typename Scalar>
struct StepOperands {
  const Scalar* in;
  const Scalar* residual;  // null for none
  Scalar* out;
  const AffineOf<Scalar>* affine;
};

template <typename Scalar>
void runStep(const Plan& plan, const Kernels& kernels, const Step& step, const Weights& weights,
             const StepOperands<Scalar>& operands, float* winograd);

}  // namespace deepzero
