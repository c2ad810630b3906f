// Decides which values are stored, and where.
#include <algorithm>
#include <vector>

#include "network/plan/plan.hpp"

namespace deepzero {

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
  // A change may recompute a convolution where its output is read, so the convolution's input must live as long; the
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
  // Whether recomputing the convolution that an activation reads would read a value.
  const auto feeds = [&](int value, int s) {
    const Step* const from = producerOf(steps_[s].inputs[0]);
    if (from == nullptr || from->kind != StepKind::Convolve) return false;
    const int read = from->inputs[0];
    if (stored_[read]) return value == read;
    const Step& producer = *producerOf(read);
    return value == producer.inputs[0] || value == producer.inputs[1];
  };
  // Whether a step may write its output over a value that is still in use.
  const auto yields = [&](int value, int s) {
    const Step& step = steps_[s];
    const int input = step.inputs[0];
    // Pixel by pixel, a value's last reader reads it before it writes; a convolution reads its neighbours too.
    if (step.kind == StepKind::Activate) {
      return (value == input || value == step.inputs[1]) && !feeds(value, s) && neededUntil[value] == s &&
             maps_[value] == maps_[step.output];
    }
    // A convolution has read all of its input in the block before it writes. Where it is recomputed it writes nothing;
    // where it is not, its input is not needed any more.
    return step.kind == StepKind::Convolve && !stored_[input] && value == producerOf(input)->inputs[0] &&
           readers[input] == 1 && readers[value] == 1;
  };
  SlotAllocator cache(cache_, values), scratch(scratch_, values), locals(locals_, values);
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
  SlotAllocator bases(bases_, values), sums(sums_, values);
  for (int s = 0; s < steps; ++s) {
    const Step& step = steps_[s];
    const int input = step.inputs[0];
    bool reads = false, raw = true;
    if (step.kind == StepKind::Convolve) {
      // An activation's output is recomputed from its input, unless a pool has made it small.
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
  needsGradient_.assign(values, false);
  gradientFrom_.assign(values, -1);
  SlotAllocator stored(gradients_, values), locals(localGradients_, values);
  // Going backwards, a gradient lives from the first step that writes to it until the step that computes the value.
  const auto place = [&](int value, int from) {
    needsGradient_[value] = true;
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
    if (!needsGradient_[steps_[s].output]) continue;
    for (const int input : steps_[s].inputs) {
      if (input >= 0 && moves[input] && !needsGradient_[input]) place(input, s);
    }
  }
}

}  // namespace deepzero
