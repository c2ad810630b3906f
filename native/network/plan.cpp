#include "network/plan.hpp"

#include <algorithm>
#include <limits>

namespace deepzero {

namespace {

bool isExpensive(Kind kind) { return kind == Kind::Convolution || kind == Kind::Linear; }

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
  std::vector<int> lastUse;
  makeSteps(lastUse);
  makeSegments();
  makeLayouts(lastUse);
}

// lastUse: by value, the last step that reads it.
void Plan::makeSteps(std::vector<int>& lastUse) {
  const auto& operations = graph_.operations();
  const int count = static_cast<int>(operations.size());
  std::vector<int> readers(count + 1, 0), onlyReader(count + 1, -1);
  for (int i = 0; i < count; ++i) {
    for (int input : operations[i].inputs) {
      if (input < 0) continue;
      ++readers[input];
      onlyReader[input] = i;
    }
  }
  std::vector<bool> fused(count, false);
  for (int i = 0; i < count; ++i) {
    if (fused[i]) continue;
    const Operation& operation = operations[i];
    Step step{i, {operation.inputs[0], operation.inputs[1]}, i + 1, -std::numeric_limits<float>::infinity()};
    if (operation.kind == Kind::Relu) step.floor = 0;
    if ((operation.kind == Kind::BatchNorm || operation.kind == Kind::Add) && readers[i + 1] == 1 &&
        operations[onlyReader[i + 1]].kind == Kind::Relu) {
      fused[onlyReader[i + 1]] = true;
      step.output = onlyReader[i + 1] + 1;
      step.floor = 0;
    }
    steps_.push_back(step);
  }
  output_ = count;
  lastUse.assign(count + 1, -1);
  for (int s = 0; s < static_cast<int>(steps_.size()); ++s) {
    for (int input : steps_[s].inputs) {
      if (input >= 0) lastUse[input] = s;
    }
  }
  lastUse[output_] = static_cast<int>(steps_.size());
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
    const Kind kind = operations[step.operation].kind;
    if (kind == Kind::BatchNorm) {
      const int producer = producedIn_[step.inputs[0]];
      if (producer == static_cast<int>(segments_.size()) - 1) open(s);
      std::vector<int>& measured = segments_[producer].measured;
      if (std::find(measured.begin(), measured.end(), step.inputs[0]) == measured.end()) {
        measured.push_back(step.inputs[0]);
      }
    }
    // Where pooling has made the expensive step's input small, storing that is cheaper than recomputing it.
    if (isExpensive(kind) && producedIn_[step.inputs[0]] == static_cast<int>(segments_.size()) - 1) {
      const int first = steps_[segments_.back().firstStep].inputs[0];
      if (graph_.shapes()[step.inputs[0]].size() < graph_.shapes()[first].size()) open(s);
    }
    segmentOf_[step.operation] = static_cast<int>(segments_.size()) - 1;
    producedIn_[step.output] = static_cast<int>(segments_.size()) - 1;
    segments_.back().endStep = s + 1;
    if (isExpensive(kind) && s + 1 < static_cast<int>(steps_.size())) open(s + 1);
  }
}

void Plan::makeLayouts(const std::vector<int>& lastUse) {
  const int values = static_cast<int>(maps_.size());
  const auto segmentOfStep = [&](int step) { return segmentOf_[steps_[step].operation]; };
  stored_.assign(values, false);
  for (int v = 0; v < values; ++v) {
    if (producedIn_[v] < 0) continue;
    stored_[v] = v == output_ || (lastUse[v] >= 0 && segmentOfStep(lastUse[v]) > producedIn_[v]);
  }
  cache_.slotOf.assign(values, -1);
  scratch_.slotOf.assign(values, -1);
  locals_.slotOf.assign(values, -1);
  std::vector<int> cacheBusy, scratchBusy, localsBusy;
  const int forever = std::numeric_limits<int>::max();
  // A pass may compute a segment's cheap values as late as its expensive step asks for them: until then nothing that
  // the segment reads may be overwritten.
  const auto until = [&](int value, int step) {
    if (lastUse[value] < 0 || lastUse[value] == static_cast<int>(steps_.size())) return std::max(lastUse[value], step);
    const int last = segments_[segmentOfStep(lastUse[value])].endStep - 1;
    return std::max(lastUse[value], isExpensive(graph_.operations()[steps_[last].operation].kind) ? last - 1 : last);
  };
  const auto place = [&](int value, int step) {
    if (stored_[value]) {
      cache_.slotOf[value] = takeSlot(cache_, cacheBusy, maps_[value], -1, forever);
      scratch_.slotOf[value] = takeSlot(scratch_, scratchBusy, maps_[value], step, until(value, step));
    } else {
      locals_.slotOf[value] = takeSlot(locals_, localsBusy, maps_[value], step, until(value, step));
    }
  };
  // The input is loaded before the first step, and is a local of segment 0 if nothing reads it.
  stored_[0] = true;
  place(0, -1);
  for (int s = 0; s < static_cast<int>(steps_.size()); ++s) place(steps_[s].output, s);
}

ConvolutionShape Plan::convolutionShape(int operation) const {
  const Operation& o = graph_.operations()[operation];
  return {maps_[o.inputs[0]], maps_[operation + 1], o.kernelHeight, o.kernelWidth, o.stride, o.padding};
}

}  // namespace deepzero
