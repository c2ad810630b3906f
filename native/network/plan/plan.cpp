#include "network/plan/plan.hpp"

#include <algorithm>

namespace deepzero {

Plan::Plan(const Graph& graph) : graph_(graph) {
  for (const Shape& shape : graph.shapes()) maps_.push_back({shape.channels, shape.height, shape.width, 0});
  for (const Operation& operation : graph.operations()) {
    if (operation.kind == Kind::Convolution) {
      int& border = maps_[operation.inputs[0]].border;
      border = std::max(border, operation.padding);
    }
  }
  for (int i = 0; i < static_cast<int>(graph.operations().size()); ++i) {
    const Operation& o = graph.operations()[i];
    convolutions_.push_back({maps_[o.inputs[0]], maps_[i + 1], o.kernelHeight, o.kernelWidth, o.stride, o.padding});
    const ConvolutionShape& shape = convolutions_.back();
    const ConvolutionShape transposed = shape.transposed();
    if (shape.supportsWinograd()) winogradScratch_ = std::max(winogradScratch_, shape.winogradScratch());
    if (transposed.supportsWinograd())
      transposedWinogradScratch_ = std::max(transposedWinogradScratch_, transposed.winogradScratch());
  }
  makeSteps();
  findSteps();
  makeSegments();
  makeBlocks();
  makeLayouts();
  findRecomputable();
  makeBases();
  makeGradients();
}

const char* Plan::kernelOf(const Step& step) const {
  switch (step.kind) {
    case StepKind::Convolve: return convolutions_[step.operation].supportsWinograd() ? "winograd 4×4" : "direct";
    case StepKind::Activate: return "activation";
    case StepKind::AveragePool: return "average pool";
    case StepKind::Flatten: break;
  }
  return "flattening";
}

}  // namespace deepzero
