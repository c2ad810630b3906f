// Changes of convolutions and linear layers.
#include <algorithm>

#include "network/changes/change_pass.hpp"

namespace deepzero {

// Returns whether the moments of the output, unless null, are complete: they were added to here, or are known.
bool ChangePass::convolve(const Step& step, int block, PlaneMoments* moments, int lanes) {
  if (computedOnRead(step.output)) {
    const int first = changedChannels(step.output).front();
    if (moments != nullptr && !momentsKnown(step.output)) {
      kernels_.convolveMoments(partial(step, block), moments + first, lanes);
    }
    return true;
  }
  if (!perturbation_.touches(step)) return convolveChange(step, block, moments, lanes);
  if (perturbation_.everywhere()) {
    convolveSteps(step, block);
  } else {
    convolveWeight(step, block);
  }
  return false;
}

// The convolution that computes the output's change from few planes. These are the one input plane that changes; or the
// plane that the perturbed weight multiplies, with one output channel, where for a bias the weight is zero; or, if all
// weights change, the network's input, which does not change.
PartialConvolution ChangePass::partial(const Step& step, int block) {
  const int value = step.inputs[0];
  const ConvolutionShape& shape = plan_.convolutionShape(step.operation);
  if (!perturbation_.touches(step)) {
    const std::vector<int>& changed = changedChannels(value);
    const int count = static_cast<int>(changed.size());
    return {shape, planes(value, block), changed.data(), count, weights_->weight(step.operation), nullptr};
  }
  const int* const every = everyChannel_.data();
  if (perturbation_.everywhere()) {
    const float* weight = perturbation_.steps->weight(step.operation);
    const float* bias = perturbation_.steps->bias(step.operation);
    return {shape, base_->base(value, 0, block), every, shape.in.channels, weight, bias};
  }
  const int taps = shape.kernelHeight * shape.kernelWidth, index = perturbation_.isBias ? 0 : perturbation_.index;
  const int channel = index / taps % shape.in.channels, tap = index % taps;
  const float* const bias = perturbation_.isBias ? &perturbation_.step : nullptr;
  PartialConvolution from{shape, input(value, channel, block), every, 1, tap_, bias};
  from.in += shape.in.at(0, tap / shape.kernelWidth - shape.padding, tap % shape.kernelWidth - shape.padding) -
             shape.in.at(0, 0, 0);
  from.shape.in.channels = from.shape.out.channels = 1;
  from.shape.kernelHeight = from.shape.kernelWidth = 1;
  from.shape.padding = 0;
  tap_[0] = perturbation_.isBias ? 0 : perturbation_.step;
  return from;
}

// Δy = W ∗ Δx. Returns whether it added to the moments, unless they are null.
bool ChangePass::convolveChange(const Step& step, int block, PlaneMoments* moments, int lanes) {
  const ConvolutionShape& shape = plan_.convolutionShape(step.operation);
  const std::vector<int>& changed = changedChannels(step.inputs[0]);
  const float* in = planes(step.inputs[0], block);
  float* out = planes(step.output, block);
  const float* packed = weights_->weight(step.operation);
  const float* transformed = weights_->transformed(step.operation);
  if (static_cast<int>(changed.size()) < shape.in.channels) {
    kernels_.partialConvolution(shape, in, changed.data(), static_cast<int>(changed.size()), packed, out);
  } else if (transformed != nullptr) {
    kernels_.winograd(shape, in, transformed, {nullptr, false, moments, lanes}, winogradScratch_.data(), out);
    return true;
  } else {
    kernels_.convolution(shape, in, packed, nullptr, out);
  }
  return false;
}

// Δy of one output channel when one of its weights or its bias changes.
void ChangePass::convolveWeight(const Step& step, int block) {
  const PartialConvolution from = partial(step, block);
  const Map& map = from.shape.out;
  float* out = planes(step.output, block) + changedChannels(step.output).front() * map.planeStride();
  if (!perturbation_.isBias) {
    kernels_.partialConvolution(from.shape, from.in, from.channels, from.count, from.packedWeights, out);
    return;
  }
  for (int y = 0; y < map.height; ++y) std::fill_n(out + map.at(0, y, 0), map.width * kLanes, perturbation_.step);
}

// Δy = W ∗ Δx + ΔW ∗ (x + Δx) + Δb.
void ChangePass::convolveSteps(const Step& step, int block) {
  const ConvolutionShape& shape = plan_.convolutionShape(step.operation);
  const int value = step.inputs[0];
  const float* weightSteps = perturbation_.steps->weight(step.operation);
  const float* biasSteps = perturbation_.steps->bias(step.operation);
  float* const out = planes(step.output, block);
  const bool add = !changedChannels(value).empty();
  const float* const perturbed =
      add || plan_.centered(value) ? perturbedInput(step, block) : base_->base(value, 0, block);
  if (add) convolveChange(step, block, nullptr, 0);
  if (const float* transformed = perturbation_.steps->transformed(step.operation)) {
    kernels_.winograd(shape, perturbed, transformed, {biasSteps, add}, winogradScratch_.data(), out);
  } else {
    (add ? kernels_.addConvolution : kernels_.convolution)(shape, perturbed, weightSteps, biasSteps, out);
  }
}

// x + Δx, the perturbed input of a convolution.
const float* ChangePass::perturbedInput(const Step& step, int block) {
  const ConvolutionShape& shape = plan_.convolutionShape(step.operation);
  const int value = step.inputs[0];
  const Affine identity;
  float* const perturbed = perturbed_[value].data();
  Activation sum{shape.in, shape.in, shape.in};
  sum.out.channels = 1;
  for (int c = 0; c < shape.in.channels; ++c) {
    const float* change = changed_.contains(value, c) ? planes(value, block) + c * shape.in.planeStride() : nullptr;
    kernels_.activate(sum, &identity, input(value, c, block), change, perturbed + c * shape.in.planeStride());
  }
  return perturbed;
}

}  // namespace deepzero
