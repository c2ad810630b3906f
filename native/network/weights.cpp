#include "network/weights.hpp"

#include <cstring>

namespace deepzero {

Weights::Weights(const Graph& graph, const Plan& plan, bool transposed) : graph_(graph), transposed_(transposed) {
  std::size_t size = 0;
  for (const Parameter& parameter : graph.parameters()) {
    const Kind kind = graph.operations()[parameter.operation].kind;
    const bool packed = !parameter.isBias && kind != Kind::BatchNorm;
    const ConvolutionShape shape = packed ? plan.convolutionShape(parameter.operation) : ConvolutionShape{};
    packing_.push_back(packed && transposed ? shape.transposed() : shape);
    offset_.push_back(size);
    size += roundedToLanes(packed ? packing_.back().packedSize() : parameter.size);
  }
  data_ = AlignedFloats(size);
  for (const ConvolutionShape& shape : packing_) {
    transformed_.emplace_back(shape.supportsWinograd() ? shape.winogradSize() : 0);
  }
}

std::size_t Weights::position(int parameter, std::size_t index) const {
  const ConvolutionShape& shape = packing_[parameter];
  return offset_[parameter] + (shape.out.channels > 0 ? shape.packedIndex(index) : index);
}

std::size_t Weights::placeOf(int parameter, std::size_t index) const {
  const ConvolutionShape& shape = packing_[parameter];
  if (!transposed_ || shape.out.channels == 0) return index;
  const std::size_t window = static_cast<std::size_t>(shape.kernelHeight) * shape.kernelWidth;
  const std::size_t pair = index / window, inputs = shape.out.channels;
  return (pair % inputs * shape.in.channels + pair / inputs) * window + (window - 1 - index % window);
}

void Weights::widen() {
  if (wide_.size() > 0) return;
  wide_ = Aligned<double>(data_.size());
  assigned_ = false;
}

void Weights::assign(const float* parameters) {
  for (int p = 0; p < static_cast<int>(offset_.size()); ++p) {
    const Parameter& parameter = graph_.parameters()[p];
    const bool transforms = transformed_[p].size() > 0;
    const std::size_t window = transforms ? 9 : 1;
    for (std::size_t first = 0; first < parameter.size; first += window) {
      bool changed = !assigned_;
      for (std::size_t i = first; i < first + window; ++i) {
        const float value = parameters[parameter.offset + i];
        const std::size_t at = position(p, placeOf(p, i));
        changed |= std::memcmp(&data_[at], &value, sizeof value) != 0;
        data_[at] = value;
        if (wide_.size() > 0) wide_[at] = value;
      }
      // Transforming every weight takes as long as half an image block's forward pass.
      if (changed && transforms) transform(p, placeOf(p, first) / window);
    }
  }
  assigned_ = true;
}

void Weights::set(std::size_t index, float value) {
  const int parameter = graph_.parameterAt(index);
  const std::size_t within = placeOf(parameter, index - graph_.parameters()[parameter].offset);
  data_[position(parameter, within)] = value;
  if (wide_.size() > 0) wide_[position(parameter, within)] = value;
  if (transformed_[parameter].size() > 0) transform(parameter, within / 9);
}

const float* Weights::transformed(int operation) const {
  const int parameter = graph_.weightOf(operation);
  return transformed_[parameter].size() == 0 ? nullptr : transformed_[parameter].data();
}

// U = G·g·Gᵀ, in double.
void Weights::transform(int parameter, std::size_t pair) {
  static constexpr double kG[6][3] = {{1.0 / 4, 0, 0},
                                      {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                      {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                      {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                      {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                      {0, 0, 1}};
  const ConvolutionShape& shape = packing_[parameter];
  double g[9], half[6][3];
  for (int tap = 0; tap < 9; ++tap) g[tap] = data_.data()[position(parameter, pair * 9 + tap)];
  for (int r = 0; r < 6; ++r) {
    for (int x = 0; x < 3; ++x) half[r][x] = kG[r][0] * g[x] + kG[r][1] * g[3 + x] + kG[r][2] * g[6 + x];
  }
  float* const out = transformed_[parameter].data();
  const int output = static_cast<int>(pair) / shape.in.channels, input = static_cast<int>(pair) % shape.in.channels;
  for (int f = 0; f < 36; ++f) {
    const double *row = half[f / 6], *factors = kG[f % 6];
    out[shape.winogradIndex(output, input, f)] =
        static_cast<float>(row[0] * factors[0] + row[1] * factors[1] + row[2] * factors[2]);
  }
}

}  // namespace deepzero
