// Fuses operations into steps.
#include <algorithm>
#include <vector>

#include "network/plan/plan.hpp"

namespace deepzero {

namespace {

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
    case Kind::LeakyRelu:
    case Kind::Tanh:
    case Kind::MaxPool: break;
  }
  return StepKind::Activate;
}

// An operation's position within an activation.
int stage(Kind kind) {
  switch (kind) {
    case Kind::BatchNorm: return 0;
    case Kind::Add: return 1;
    case Kind::Relu:
    case Kind::LeakyRelu:
    case Kind::Tanh: return 2;
    default: return 3;
  }
}

// Adds an operation to an activation.
void extend(Activation& activation, const Operation& operation) {
  switch (operation.kind) {
    case Kind::Relu: activation.nonlinearity = Nonlinearity::Relu; break;
    case Kind::LeakyRelu:
      activation.nonlinearity = Nonlinearity::LeakyRelu;
      activation.slope = operation.slope;
      break;
    case Kind::Tanh: activation.nonlinearity = Nonlinearity::Tanh; break;
    case Kind::MaxPool:
      activation.poolKernel = operation.kernel;
      activation.poolStride = operation.stride;
      break;
    default: break;
  }
}

}  // namespace

void Plan::makeSteps() {
  const auto& operations = graph_.operations();
  const int count = static_cast<int>(operations.size());
  std::vector<int> readers(count + 1, 0);
  for (const Operation& operation : operations) {
    for (int input : operation.inputs) {
      if (input >= 0) ++readers[input];
    }
  }
  // By value, the unfinished activation that computes it: it becomes a step when a reader cannot extend it.
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
      extend(step.activation, operation);
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
  // A value that is no step's output has one reader, which is fused with the operation that computes it.
  for (int i = static_cast<int>(operations.size()) - 1; i >= 0; --i) {
    for (const int input : operations[i].inputs) {
      if (input > 0 && stepOf_[input - 1] < 0) stepOf_[input - 1] = stepOf_[i];
    }
  }
}

}  // namespace deepzero
