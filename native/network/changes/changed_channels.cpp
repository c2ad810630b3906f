#include "network/changes/changed_channels.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>

namespace deepzero {

Perturbation perturbationOf(const Graph& graph, std::size_t coordinate, float step) {
  const Parameter& parameter = graph.parameters()[graph.parameterAt(coordinate)];
  return {parameter.operation, parameter.isBias, static_cast<int>(coordinate - parameter.offset), step, nullptr};
}

ChangedChannels::ChangedChannels(const Graph& graph, const Plan& plan)
    : plan_(plan), channels_(graph.shapes().size()), rematerialised_(graph.shapes().size(), false) {
  for (std::size_t v = 0; v < channels_.size(); ++v) {
    channels_[v].reserve(plan.map(static_cast<int>(v)).channels);
    countVector(channels_[v]);
  }
}

void ChangedChannels::compute(const Perturbation& perturbation, int firstStep) {
  for (std::vector<int>& channels : channels_) channels.clear();
  for (int s = firstStep; s < static_cast<int>(plan_.steps().size()); ++s) {
    const Step& step = plan_.steps()[s];
    const bool touched = perturbation.touches(step), everywhere = touched && perturbation.everywhere();
    const std::vector<int>& in = channels_[step.inputs[0]];
    std::vector<int>& out = channels_[step.output];
    const auto all = [&] {
      out.resize(plan_.map(step.output).channels);
      std::iota(out.begin(), out.end(), 0);
    };
    switch (step.kind) {
      case StepKind::Convolve:
        if (everywhere || (!touched && !in.empty())) {
          all();
        } else if (touched) {
          const ConvolutionShape& shape = plan_.convolutionShape(step.operation);
          const int taps = shape.in.channels * shape.kernelHeight * shape.kernelWidth;
          out.push_back(perturbation.isBias ? perturbation.index : perturbation.index / taps);
        }
        rematerialised_[step.output] = plan_.recomputable(step.output) && in.size() <= 1 && !everywhere;
        break;
      case StepKind::Activate:
        if (everywhere) {
          all();
          break;
        }
        out = in;
        if (step.inputs[1] >= 0) {
          const std::vector<int>& residual = channels_[step.inputs[1]];
          out.clear();
          std::set_union(in.begin(), in.end(), residual.begin(), residual.end(), std::back_inserter(out));
        }
        if (touched && !std::binary_search(out.begin(), out.end(), perturbation.index)) {
          out.insert(std::upper_bound(out.begin(), out.end(), perturbation.index), perturbation.index);
        }
        break;
      case StepKind::AveragePool:
        for (const int channel : in) out.push_back(channel + plan_.paddingBefore(step));
        break;
      case StepKind::Flatten: {
        const int pixels = plan_.map(step.inputs[0]).height * plan_.map(step.inputs[0]).width;
        for (const int channel : in) {
          for (int i = 0; i < pixels; ++i) out.push_back(channel * pixels + i);
        }
        break;
      }
    }
  }
}

bool ChangedChannels::contains(int value, int channel) const {
  const std::vector<int>& channels = channels_[value];
  if (static_cast<int>(channels.size()) == plan_.map(value).channels) return true;
  return std::binary_search(channels.begin(), channels.end(), channel);
}

}  // namespace deepzero
