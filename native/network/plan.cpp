#include "network/plan.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace deepzero {

namespace {

constexpr float kNoFloor = -std::numeric_limits<float>::infinity();

StepKind stepKind(Kind kind) {
  switch (kind) {
    case Kind::Convolution:
    case Kind::Linear: return StepKind::Convolve;
    // Every stride-th pixel is the average over a window of one pixel.
    case Kind::OptionA:
    case Kind::AveragePool: return StepKind::AveragePool;
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

// Deals out a layout's slots.
class Slots {
 public:
  Slots(Layout& layout, std::size_t values) : layout_(layout) { layout.slotOf.assign(values, -1); }

  // Gives a value of this map, from one step to another, the slot that has to grow least, and of those the smallest, of
  // all that are free or whose value `yields` its slot; or a new one.
  template <typename Yields>
  void take(int value, const Map& map, int from, int until, Yields yields) {
    const std::size_t size = map.size();
    int best = -1;
    const auto cost = [&](int slot) {
      const std::size_t has = layout_.slots[slot].size;
      return std::make_pair(has < size ? size - has : 0, has);
    };
    for (int slot = 0; slot < static_cast<int>(layout_.slots.size()); ++slot) {
      const Map& other = layout_.slots[slot].map;
      // Of any number of channels, planes that are alike have their borders in the same places.
      const bool alike = map.height == other.height && map.width == other.width && map.border == other.border;
      const bool fits = map.border == 0 ? other.border == 0 : alike;
      if (!fits || (busyUntil_[slot] >= from && !yields(holder_[slot]))) continue;
      if (best < 0 || cost(slot) < cost(best)) best = slot;
    }
    if (best < 0) {
      own(value, map);
      best = layout_.slotOf[value];
    }
    layout_.slots[best].size = std::max(layout_.slots[best].size, size);
    busyUntil_[best] = until;
    holder_[best] = value;
    layout_.slotOf[value] = best;
  }

  // Gives a value a slot that no other takes.
  void own(int value, const Map& map) {
    layout_.slotOf[value] = static_cast<int>(layout_.slots.size());
    layout_.slots.push_back({map.size(), map});
    busyUntil_.push_back(std::numeric_limits<int>::max());
    holder_.push_back(value);
  }

 private:
  Layout& layout_;
  std::vector<int> busyUntil_, holder_;  // by slot; the value that it holds
};

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
    const ConvolutionShape turned = shape.turned();
    if (shape.suitsWinograd()) winogradScratch_ = std::max(winogradScratch_, shape.winogradScratch());
    if (turned.suitsWinograd()) turnedWinogradScratch_ = std::max(turnedWinogradScratch_, turned.winogradScratch());
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

void Plan::findSteps() {
  const auto& operations = graph_.operations();
  stepOf_.assign(operations.size(), -1);
  for (int s = 0; s < static_cast<int>(steps_.size()); ++s) stepOf_[steps_[s].output - 1] = s;
  // A value that no step yields has one reader, which is fused with what computes the value.
  for (int i = static_cast<int>(operations.size()) - 1; i >= 0; --i) {
    for (const int input : operations[i].inputs) {
      if (input > 0 && stepOf_[input - 1] < 0) stepOf_[input - 1] = stepOf_[i];
    }
  }
}

const char* Plan::kernelOf(const Step& step) const {
  switch (step.kind) {
    case StepKind::Convolve: return convolutions_[step.operation].suitsWinograd() ? "winograd 4×4" : "direct";
    case StepKind::Activate: return "activation";
    case StepKind::AveragePool: return "average pool";
    case StepKind::Flatten: break;
  }
  return "flattening";
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
  // A change may compute a convolution again where its output is read, so what that takes must still be there; the
  // network's input never changes.
  std::vector<int> neededUntil = lastUse_;
  for (int s = steps - 1; s >= 0; --s) {
    const Step& step = steps_[s];
    if (step.kind != StepKind::Convolve && stored_[step.output]) continue;
    for (const int input : step.inputs) {
      if (input > 0) neededUntil[input] = std::max(neededUntil[input], neededUntil[step.output]);
    }
  }
  std::vector<int> readers(values, 0);
  for (const Step& step : steps_) {
    for (const int input : step.inputs) {
      if (input >= 0) ++readers[input];
    }
  }
  // Whether a convolution that an activation reads takes a value, if it is computed again there.
  const auto feeds = [&](int value, int s) {
    const Step* const from = producerOf(steps_[s].inputs[0]);
    if (from == nullptr || from->kind != StepKind::Convolve) return false;
    const int read = from->inputs[0];
    if (stored_[read]) return value == read;
    const Step& producer = *producerOf(read);
    return value == producer.inputs[0] || value == producer.inputs[1];
  };
  // Whether a step may write its output where it finds a value that is still needed.
  const auto yields = [&](int value, int s) {
    const Step& step = steps_[s];
    const int input = step.inputs[0];
    // Pixel by pixel, a value's last reader reads it before it writes; a convolution reads its neighbours too.
    if (step.kind == StepKind::Activate) {
      return (value == input || value == step.inputs[1]) && !feeds(value, s) && neededUntil[value] == s &&
             maps_[value] == maps_[step.output];
    }
    // A convolution has read all of its input in the block before it writes; where it is computed again it writes
    // nothing, and where not, nobody needs what that would take.
    return step.kind == StepKind::Convolve && !stored_[input] && value == producerOf(input)->inputs[0] &&
           readers[input] == 1 && readers[value] == 1;
  };
  Slots cache(cache_, values), scratch(scratch_, values), locals(locals_, values);
  const auto place = [&](int value, int step) {
    const int until = std::max(neededUntil[value], step);
    if (stored_[value]) {
      cache.own(value, maps_[value]);
      scratch.take(value, maps_[value], step, until, [&](int held) { return step >= 0 && yields(held, step); });
    } else {
      locals.take(value, maps_[value], step, until, [](int) { return false; });
    }
  };
  // The input is loaded before the first step.
  place(0, -1);
  for (int s = 0; s < steps; ++s) place(steps_[s].output, s);
}

void Plan::findRecomputable() {
  recomputable_.assign(maps_.size(), false);
  for (const Step& step : steps_) {
    if (step.kind == StepKind::Convolve) recomputable_[step.output] = true;
    if (step.kind != StepKind::Activate) recomputable_[step.inputs[0]] = false;
    if (step.inputs[1] >= 0) recomputable_[step.inputs[1]] = false;
  }
  recomputable_[output_] = false;
}

void Plan::makeBases() {
  const int values = static_cast<int>(maps_.size()), steps = static_cast<int>(steps_.size());
  baseReader_.assign(values, -1);
  centered_.assign(values, true);
  Slots bases(bases_, values), sums(sums_, values);
  for (int s = 0; s < steps; ++s) {
    const Step& step = steps_[s];
    const int input = step.inputs[0];
    bool reads = false, raw = true;
    if (step.kind == StepKind::Convolve) {
      // What an activation yields is computed again from what that reads, unless a pool has made it small.
      const Step* from = producerOf(input);
      reads = from == nullptr || from->kind != StepKind::Activate || (stored_[input] && from->pools());
    } else if (step.kind == StepKind::Activate) {
      const bool sum = step.inputs[1] >= 0;
      if (sum) sums.own(step.output, maps_[input]);
      raw = step.operation < 0;
      reads = !raw || !sum;
    }
    if (!reads) continue;
    centered_[input] = centered_[input] && !raw;
    if (baseReader_[input] >= 0) continue;
    baseReader_[input] = s;
    bases.own(input, maps_[input]);
  }
}

void Plan::makeGradients() {
  const int values = static_cast<int>(maps_.size()), steps = static_cast<int>(steps_.size());
  std::vector<bool> moves(values, false);
  for (const Step& step : steps_) {
    moves[step.output] = step.operation >= 0 && graph_.weightOf(step.operation) >= 0;
    for (const int input : step.inputs) moves[step.output] = moves[step.output] || (input >= 0 && moves[input]);
  }
  carries_.assign(values, false);
  gradientFrom_.assign(values, -1);
  Slots stored(gradients_, values), locals(localGradients_, values);
  // Backwards, a gradient lives from where it first arrives until the step that yields the value.
  const auto place = [&](int value, int from) {
    carries_[value] = true;
    gradientFrom_[value] = from;
    const auto yields = [&](int held) {
      return from < steps && held == steps_[from].output && steps_[from].kind == StepKind::Activate &&
             !steps_[from].pools();
    };
    (stored_[value] ? stored : locals)
        .take(value, gradientMap(value), steps - from, steps - stepOf_[value - 1], yields);
  };
  if (moves[output_]) place(output_, steps);
  for (int s = steps - 1; s >= 0; --s) {
    if (!carries_[steps_[s].output]) continue;
    for (const int input : steps_[s].inputs) {
      if (input >= 0 && moves[input] && !carries_[input]) place(input, s);
    }
  }
}

}  // namespace deepzero
