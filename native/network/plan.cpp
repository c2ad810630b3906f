#include "network/plan.hpp"

#include <algorithm>
#include <limits>

namespace deepzero {

namespace {

constexpr float kNoFloor = -std::numeric_limits<float>::infinity();

StepKind stepKind(Kind kind) {
  switch (kind) {
    case Kind::Convolution:
    case Kind::Linear: return StepKind::Convolve;
    case Kind::OptionA: return StepKind::Subsample;
    case Kind::GlobalAveragePool: return StepKind::AveragePool;
    case Kind::Flatten: return StepKind::Flatten;
    case Kind::BatchNorm:
    case Kind::Add:
    case Kind::Relu:
    case Kind::MaxPool: break;
  }
  return StepKind::Activate;
}

// The place of an operation in an activation's order.
int stage(Kind kind) {
  switch (kind) {
    case Kind::BatchNorm: return 0;
    case Kind::Add: return 1;
    case Kind::Relu: return 2;
    default: return 3;
  }
}

// A slot that is free for a value of this map from step `from` on, or a new one.
int takeSlot(Layout& layout, std::vector<int>& busyUntil, const Map& map, int from, int until) {
  for (std::size_t slot = 0; slot < layout.slots.size(); ++slot) {
    if (layout.slots[slot] == map && busyUntil[slot] < from) {
      busyUntil[slot] = until;
      return static_cast<int>(slot);
    }
  }
  layout.slots.push_back(map);
  busyUntil.push_back(until);
  return static_cast<int>(layout.slots.size()) - 1;
}

}  // namespace

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
    if (shape.suitsWinograd()) winogradScratch_ = std::max(winogradScratch_, shape.winogradScratch());
  }
  makeSteps();
  makeSegments();
  makeBlocks();
  makeLayouts();
}

void Plan::makeSteps() {
  const auto& operations = graph_.operations();
  const int count = static_cast<int>(operations.size());
  std::vector<int> readers(count + 1, 0);
  for (const Operation& operation : operations) {
    for (int input : operation.inputs) {
      if (input >= 0) ++readers[input];
    }
  }
  // By value, the activation under way that yields it: it becomes a step when something reads it that cannot extend it.
  struct Open {
    Step step;
    int stage = -1;
  };
  std::vector<Open> open(count + 1);
  const auto close = [&](int value) {
    if (value < 0 || open[value].stage < 0) return;
    steps_.push_back(open[value].step);
    open[value].stage = -1;
  };
  for (int i = 0; i < count; ++i) {
    const Operation& operation = operations[i];
    Step step;
    step.kind = stepKind(operation.kind);
    step.operation = i;
    std::copy_n(operation.inputs, 2, step.inputs);
    if (step.kind == StepKind::Activate) {
      step.activation.floor = kNoFloor;
      if (operation.kind != Kind::BatchNorm) step.operation = -1;
      for (const int input : {0, 1}) {
        const int value = operation.inputs[input];
        if (value < 0 || readers[value] != 1 || open[value].stage < 0) continue;
        if (open[value].stage >= stage(operation.kind)) continue;
        step = open[value].step;
        open[value].stage = -1;
        if (operation.kind == Kind::Add) step.inputs[1] = operation.inputs[1 - input];
        break;
      }
      if (operation.kind == Kind::Relu) step.activation.floor = 0;
      if (operation.kind == Kind::MaxPool) {
        step.activation.poolKernel = operation.kernel;
        step.activation.poolStride = operation.stride;
      }
    }
    step.output = i + 1;
    for (const int input : operation.inputs) close(input);
    if (step.kind == StepKind::Activate) {
      open[i + 1] = {step, stage(operation.kind)};
    } else {
      steps_.push_back(step);
    }
  }
  for (int value = 1; value <= count; ++value) close(value);
  for (Step& step : steps_) {
    step.activation.in = maps_[step.inputs[0]];
    if (step.inputs[1] >= 0) step.activation.residual = maps_[step.inputs[1]];
    step.activation.out = maps_[step.output];
  }
  output_ = count;
  lastUse_.assign(count + 1, -1);
  for (int s = 0; s < static_cast<int>(steps_.size()); ++s) {
    for (const int input : steps_[s].inputs) {
      if (input >= 0) lastUse_[input] = s;
    }
  }
  lastUse_[output_] = static_cast<int>(steps_.size());
}

void Plan::makeSegments() {
  const auto& operations = graph_.operations();
  segmentOf_.assign(operations.size(), -1);
  producedIn_.assign(operations.size() + 1, -1);
  producedIn_[0] = 0;
  segments_ = {Segment{}, Segment{}};
  const auto open = [&](int step) {
    if (segments_.back().firstStep == step) return;
    segments_.back().endStep = step;
    segments_.push_back({step, step, {}});
  };
  for (int s = 0; s < static_cast<int>(steps_.size()); ++s) {
    const Step& step = steps_[s];
    const int current = static_cast<int>(segments_.size()) - 1, input = step.inputs[0];
    if (step.kind == StepKind::Activate && step.operation >= 0) {
      std::vector<int>& measured = segments_[producedIn_[input]].measured;
      if (std::find(measured.begin(), measured.end(), input) == measured.end()) measured.push_back(input);
      if (producedIn_[input] == current) open(s);
    }
    // Where pooling has made a convolution's input small, storing that is cheaper than recomputing it.
    if (step.kind == StepKind::Convolve && producedIn_[input] == current) {
      const int first = steps_[segments_.back().firstStep].inputs[0];
      if (graph_.shapes()[input].size() < graph_.shapes()[first].size()) open(s);
    }
    if (step.operation >= 0) segmentOf_[step.operation] = static_cast<int>(segments_.size()) - 1;
    producedIn_[step.output] = static_cast<int>(segments_.size()) - 1;
    segments_.back().endStep = s + 1;
    if (step.kind == StepKind::Convolve && s + 1 < static_cast<int>(steps_.size())) open(s + 1);
  }
}

void Plan::makeBlocks() {
  blockOf_.assign(segments_.size(), 0);
  for (int b = 1; b < static_cast<int>(segments_.size()); ++b) {
    std::vector<int> crossing;
    for (int s = segments_[b].firstStep; s < static_cast<int>(steps_.size()); ++s) {
      for (const int input : steps_[s].inputs) {
        if (input < 0 || producedIn_[input] >= b) continue;
        if (std::find(crossing.begin(), crossing.end(), input) == crossing.end()) crossing.push_back(input);
      }
    }
    blockOf_[b] = crossing.size() == 1 ? b : blockOf_[b - 1];
  }
}

void Plan::makeLayouts() {
  const int values = static_cast<int>(maps_.size()), steps = static_cast<int>(steps_.size());
  stored_.assign(values, true);
  for (const Step& step : steps_) stored_[step.output] = step.kind != StepKind::Activate || step.output == output_;
  for (const Segment& segment : segments_) {
    for (int s = segment.firstStep; s < segment.endStep; ++s) {
      for (const int input : steps_[s].inputs) {
        if (input < 0) continue;
        const bool later = producedIn_[input] < producedIn_[steps_[s].output];
        if (later || steps_[s].kind == StepKind::Activate) stored_[input] = true;
      }
    }
  }
  // A change may compute a convolution again where its output is read, so what that takes must still be there.
  for (int s = steps - 1; s >= 0; --s) {
    const Step& step = steps_[s];
    if (step.kind != StepKind::Convolve && stored_[step.output]) continue;
    for (const int input : step.inputs) {
      if (input >= 0) lastUse_[input] = std::max(lastUse_[input], lastUse_[step.output]);
    }
  }
  cache_.slotOf.assign(values, -1);
  scratch_.slotOf.assign(values, -1);
  locals_.slotOf.assign(values, -1);
  std::vector<int> cacheBusy, scratchBusy, localsBusy;
  const auto place = [&](int value, int step) {
    const int until = std::max(lastUse_[value], step);
    if (stored_[value]) {
      cache_.slotOf[value] = takeSlot(cache_, cacheBusy, maps_[value], -1, steps);
      scratch_.slotOf[value] = takeSlot(scratch_, scratchBusy, maps_[value], step, until);
    } else {
      locals_.slotOf[value] = takeSlot(locals_, localsBusy, maps_[value], step, until);
    }
  };
  // The input is loaded before the first step.
  place(0, -1);
  for (int s = 0; s < steps; ++s) place(steps_[s].output, s);
}

}  // namespace deepzero
