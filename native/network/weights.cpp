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

const float* Weights::transformed(int operation) const {
  return transformed_.empty() || transformed_[operation].size() == 0 ? nullptr : transformed_[operation].data();
}

// U = G·g·Gᵀ, in double.
void Weights::transform() {
  static constexpr double kG[6][3] = {{1.0 / 4, 0, 0},
                                      {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                      {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                      {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                      {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                      {0, 0, 1}};
  const int operations = static_cast<int>(graph_.operations().size());
  transformed_.resize(operations);
  for (int i = 0; i < operations; ++i) {
    if (graph_.operations()[i].kind != Kind::Convolution) continue;
    const int parameter = graph_.weightOf(i);
    const ConvolutionShape& shape = packing_[parameter];
    if (!shape.suitsWinograd()) continue;
    if (transformed_[i].size() == 0) transformed_[i] = AlignedFloats(shape.winogradSize());
    const std::size_t frequency = shape.winogradSize() / 36;
    for (std::size_t pair = 0; pair < static_cast<std::size_t>(shape.out.channels) * shape.in.channels; ++pair) {
      double g[9], half[6][3];
      for (int tap = 0; tap < 9; ++tap) g[tap] = data_.data()[position(parameter, pair * 9 + tap)];
      for (int r = 0; r < 6; ++r) {
        for (int x = 0; x < 3; ++x) half[r][x] = kG[r][0] * g[x] + kG[r][1] * g[3 + x] + kG[r][2] * g[6 + x];
      }
      const std::size_t out = pair / shape.in.channels, in = pair % shape.in.channels;
      const std::size_t at = (out / kChannelTile * shape.in.channels + in) * kChannelTile + out % kChannelTile;
      for (int r = 0; r < 6; ++r) {
        for (int c = 0; c < 6; ++c) {
          transformed_[i].data()[(6 * r + c) * frequency + at] =
              static_cast<float>(half[r][0] * kG[c][0] + half[r][1] * kG[c][1] + half[r][2] * kG[c][2]);
        }
      }
    }
  }
}

}  // namespace deepzero
