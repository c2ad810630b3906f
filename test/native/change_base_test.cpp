// What changes start from: near every kink, as exact as a float can be.
#include "network/changes/change_base.hpp"

#include <cmath>
#include <vector>

#include "harness.hpp"
#include "network/reference/reference.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

// The parts that a run of the unperturbed pass needs.
struct Run {
  explicit Run(const Example& example)
      : plan(example.graph),
        blocks((example.count + kLanes - 1) / kLanes),
        weights(example.graph, plan),
        pass(example.graph, plan, kernels(), ArenaOf<double>(plan.scratch(), blocks), blocks),
        base(example.graph, plan, blocks) {
    weights.widen();
    weights.assign(example.parameters.data());
    std::vector<WorkspaceOf<double>> workspaces;
    for (int i = 0; i < 2; ++i) workspaces.emplace_back(plan);
    pass.run(example.problem(), weights, workspaces, threads(2), &base);
  }

  Plan plan;
  int blocks;
  Weights weights;
  Float64Pass pass;
  ChangeBase base;
};

// How far what a ReLU, leaky or not, reads is from the reference, in units of its distance from zero: of the base, and
// of the value itself rounded to float.
struct Distances {
  double kept = 0, rounded = 0;
  int wrongSigns = 0, pixels = 0;
};

Distances distances(const Example& example) {
  const Run run(example);
  const auto reference = referenceEvaluate(example.graph, example.problem(),
                                           {example.parameters.begin(), example.parameters.end()}, threads(2));
  Distances result;
  for (const Step& step : run.plan.steps()) {
    if (step.kind != StepKind::Activate || !step.activation.hasKink()) continue;
    const Map& map = run.plan.map(step.inputs[0]);
    const Shape& shape = example.graph.shapes()[step.inputs[0]];
    for (int n = 0; n < example.count; ++n) {
      for (int c = 0; c < shape.channels; ++c) {
        const auto& normal = run.base.normalisation(step)[c];
        const AffineOf<double> affine = run.pass.affine(step)[c];
        for (int pixel = 0; pixel < shape.height * shape.width; ++pixel) {
          const std::size_t flat = (static_cast<std::size_t>(n) * shape.channels + c) * shape.height * shape.width;
          const double value = reference.values[step.inputs[0]][flat + pixel];
          const double rest = step.inputs[1] >= 0 ? reference.values[step.inputs[1]][flat + pixel] : 0;
          const double exact = (value - affine.mean) * affine.scale + affine.shift + rest;
          const std::ptrdiff_t at = map.at(0, pixel / shape.width, pixel % shape.width) + n % kLanes;
          const float kept = step.inputs[1] >= 0
                                 ? run.base.sum(step, c, n / kLanes)[at]
                                 : run.base.base(step.inputs[0], c, n / kLanes)[at] * normal.scale + normal.shift;
          const double rounded = (double{static_cast<float>(value)} - affine.mean) * affine.scale + affine.shift + rest;
          // What the two passes in double differ by is no error of a float.
          const double size = std::abs(exact) + 1e-8;
          result.kept = std::max(result.kept, std::abs(kept - exact) / size);
          result.rounded = std::max(result.rounded, std::abs(rounded - exact) / size);
          result.wrongSigns += std::abs(exact) > 1e-12 && (kept > 0) != (exact > 0);
          ++result.pixels;
        }
      }
    }
  }
  return result;
}

// Leaky ReLUs behind a batch norm and a sum.
Graph leakyResNet() {
  Builder network({2, 8, 8});
  network.convolution(4, 3, 3, 1, 1, false).batchNorm().leakyRelu(0.1);
  const int before = network.value;
  network.convolution(4, 3, 3, 1, 1, false).batchNorm().add(before).leakyRelu(0.3);
  return network.globalAveragePool().linear(3, true).graph();
}

TEST("change base: the input of a ReLU is accurate relative to its distance from zero, with the right sign") {
  for (const bool training : {true, false}) {
    for (Example example : {Example(smallCnn(), 20), Example(smallResNet(), 20), Example(leakyResNet(), 20)}) {
      example.training = training;
      const Distances found = distances(example);
      CHECK(found.pixels > 1000);
      CHECK(found.wrongSigns == 0);
      CHECK_NEAR(found.kept, 0, 5e-7);
      // The values themselves would not do, or the test shows nothing.
      CHECK(found.rounded > 10 * found.kept);
    }
  }
}

TEST("change base: a batch norm that scales by zero has no kink to be near") {
  Example example(smallCnn(), 20);
  for (const Parameter& tensor : example.graph.parameters()) {
    const bool gamma = !tensor.isBias && example.graph.operations()[tensor.operation].kind == Kind::BatchNorm;
    if (gamma) example.parameters[tensor.offset] = 0;
  }
  const Run run(example);
  for (const Step& step : run.plan.steps()) {
    if (step.kind != StepKind::Activate || step.operation < 0) continue;
    const auto& normal = run.base.normalisation(step)[0];
    CHECK(normal.scale == 0 && std::isfinite(normal.shift) && normal.offset == 0);
  }
}

}  // namespace
}  // namespace deepzero::test
