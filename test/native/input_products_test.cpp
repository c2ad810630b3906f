// The moments of a first convolution's change, from products, against those of the change itself.
#include "network/input_products.hpp"

#include <cmath>
#include <vector>

#include "harness.hpp"
#include "network/engine.hpp"
#include "network/pass.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

// The unperturbed pass, its products, and random steps of all parameters.
struct Run {
  explicit Run(const Example& example, int threadCount = 2)
      : plan(example.graph),
        blocks((example.count + kLanes - 1) / kLanes),
        weights(example.graph, plan),
        steps(example.graph, plan),
        pass(example.graph, plan, kernels(), ArenaOf<double>(plan.scratch(), blocks), blocks),
        base(example.graph, plan, blocks),
        products(plan, kernels(), blocks) {
    weights.assign(example.parameters.data());
    std::vector<WorkspaceOf<double>> workspaces;
    for (int i = 0; i < threadCount; ++i) workspaces.emplace_back(plan);
    pass.run(example.problem(), weights, workspaces, threads(threadCount), &base);
    // Any numbers that are not small, so that what is of second order counts.
    std::vector<float> moved(example.parameters.rbegin(), example.parameters.rend());
    steps.assign(moved.data());
    products.reserve(threadCount);
    products.compute(example.problem(), base, threads(threadCount));
  }

  Plan plan;
  int blocks;
  Weights weights, steps;
  ExactPass pass;
  ChangeBase base;
  InputProducts products;
};

// The same moments, of the change as the direct kernel makes it.
PlaneMoments momentsOfChange(const Example& example, const Run& run, const Step& step, int channel) {
  const ConvolutionShape& shape = run.plan.convolutionShape(step.operation);
  std::vector<float> change(shape.out.size());
  PlaneMoments result{};
  for (int block = 0; block < run.blocks; ++block) {
    kernels().convolution(shape, run.base.base(0, 0, block), run.steps.weight(step.operation),
                          run.steps.bias(step.operation), change.data());
    result.base = run.base.base(step.output, channel, block);
    result.change = change.data() + channel * shape.out.planeStride();
    kernels().changeMoments(shape.out, &result, 1, lanesOf(example.problem(), block));
  }
  return result;
}

double total(const double* lanes) {
  double sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

// Two convolutions read the images, one without padding by steps of 2 and with a bias.
Graph twoFirst() {
  Builder builder({2, 9, 7});
  builder.convolution(3, 3, 2, 2, 0, true).batchNorm().relu().globalAveragePool();
  const int other = builder.value;
  builder.value = 0;
  return builder.convolution(3, 3, 3, 1, 1, false)
      .batchNorm()
      .relu()
      .globalAveragePool()
      .add(other)
      .flatten()
      .linear(3, true)
      .graph();
}

ISA_TEST("input products: the moments of a first convolution's change are those of the change itself") {
  for (const Graph& graph : {smallCnn(), smallResNet(), twoFirst()}) {
    const Example example(graph, 19);
    const Run run(example);
    int covered = 0;
    for (const Step& step : run.plan.steps()) {
      if (!run.products.cover(step)) continue;
      ++covered;
      for (int channel = 0; channel < run.plan.map(step.output).channels; ++channel) {
        const PlaneMoments known = run.products.moments(step, channel, run.steps);
        const PlaneMoments direct = momentsOfChange(example, run, step, channel);
        const double size = total(direct.square);
        CHECK(size != 0);
        CHECK_NEAR(total(known.square), size, 1e-5 * std::abs(size));
        CHECK_NEAR(total(known.sum), total(direct.sum), 1e-5 * (1 + std::abs(total(direct.sum))));
      }
    }
    CHECK(covered > 0);
  }
}

TEST("input products have the same bits for any number of threads") {
  const Example example(smallCnn(), 40);
  const Run one(example, 1), three(example, 3);
  for (const Step& step : one.plan.steps()) {
    if (!one.products.cover(step)) continue;
    CHECK(sameBits(total(one.products.moments(step, 1, one.steps).square),
                   total(three.products.moments(step, 1, three.steps).square)));
  }
}

TEST("input products cover first convolutions of few taps only, whose output nothing but activations read") {
  const auto covered = [](const Graph& graph) {
    const Plan plan(graph);
    const InputProducts products(plan, kernels(), 1);
    int count = 0;
    for (const Step& step : plan.steps()) count += products.cover(step);
    return count;
  };
  CHECK(covered(twoFirst()) == 2);
  CHECK(covered(smallResNet()) == 1);
  const auto network = [](int channels, bool norm) {
    Builder builder({channels, 8, 8});
    builder.convolution(2, 3, 3, 1, 1, false);
    if (norm) builder.batchNorm();
    return builder.relu().globalAveragePool().flatten().linear(2, true).graph();
  };
  CHECK(covered(network(7, true)) == 1);
  CHECK(covered(network(8, true)) == 0);
  CHECK(covered(network(3, false)) == 0);
}

}  // namespace
}  // namespace deepzero::test
