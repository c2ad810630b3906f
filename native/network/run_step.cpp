#include "network/run_step.hpp"

#include <algorithm>

namespace deepzero {

template <typename Scalar>
void runStep(const Plan& plan, const Kernels& kernels, const Step& step, const Weights& weights,
             const StepOperands<Scalar>& operands, float* winograd) {
  const ValueKernels<Scalar>& values = valueKernels<Scalar>(kernels);
  const Map& inMap = plan.map(step.inputs[0]);
  const Map& outMap = plan.map(step.output);
  const auto [in, residual, out, affine] = operands;
  switch (step.kind) {
    case StepKind::Convolve:
      convolve(kernels, plan.convolutionShape(step.operation), in, weights, step.operation,
               weights.bias(step.operation), winograd, out);
      break;
    case StepKind::Activate: values.activate(step.activation, affine, in, residual, out); break;
    case StepKind::AveragePool: {
      const ConvolutionShape& windows = plan.convolutionShape(step.operation);
      const int before = plan.paddingBefore(step);
      for (int c = 0; c < outMap.channels; ++c) {
        Scalar* plane = out + c * outMap.planeStride();
        if (c < before || c >= before + inMap.channels) {
          std::fill_n(plane, outMap.planeStride(), Scalar{0});
        } else {
          values.averagePool(windows, in + (c - before) * inMap.planeStride(), plane);
        }
      }
      break;
    }
    case StepKind::Flatten:
      for (int c = 0, feature = 0; c < inMap.channels; ++c) {
        for (int y = 0; y < inMap.height; ++y) {
          for (int x = 0; x < inMap.width; ++x, ++feature) {
            std::copy_n(in + inMap.at(c, y, x), kLanes, out + outMap.at(feature, 0, 0));
          }
        }
      }
      break;
  }
}

template void runStep<float>(const Plan&, const Kernels&, const Step&, const Weights&, const StepOperands<float>&,
                             float*);
template void runStep<double>(const Plan&, const Kernels&, const Step&, const Weights&, const StepOperands<double>&,
                              float*);

}  // namespace deepzero
