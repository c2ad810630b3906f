#include "network/weights.hpp"

namespace deepzero {

Weights::Weights(const Graph& graph, const Plan& plan) : graph_(graph) {
  std::size_t size = 0;
  for (const Parameter& parameter : graph.parameters()) {
    const Kind kind = graph.operations()[parameter.operation].kind;
    const bool packed = !parameter.isBias && kind != Kind::BatchNorm;
    packing_.push_back(packed ? plan.convolutionShape(parameter.operation) : ConvolutionShape{});
    offset_.push_back(size);
    size += roundedToLanes(packed ? packing_.back().packedSize() : parameter.size);
  }
  data_ = AlignedFloats(size);
}

std::size_t Weights::position(int parameter, std::size_t index) const {
  const ConvolutionShape& shape = packing_[parameter];
  return offset_[parameter] + (shape.out.channels > 0 ? shape.packedIndex(index) : index);
}

void Weights::assign(const float* parameters) {
  for (int p = 0; p < static_cast<int>(offset_.size()); ++p) {
    const Parameter& parameter = graph_.parameters()[p];
    for (std::size_t i = 0; i < parameter.size; ++i) data_.data()[position(p, i)] = parameters[parameter.offset + i];
  }
}

void Weights::set(std::size_t index, float value) {
  const int parameter = graph_.parameterAt(index);
  data_.data()[position(parameter, index - graph_.parameters()[parameter].offset)] = value;
}

}  // namespace deepzero
