// The moments of a first convolution's change, from products, against those of the change itself.
#include "network/changes/input_products.hpp"

#include <atomic>
#include <cmath>
#include <vector>

#include "estimators/directions.hpp"
#include "harness.hpp"
#include "network/reference/reference.hpp"
#include "networks.hpp"
#include "runtime/engine.hpp"

namespace deepzero::test {
namespace {

// Enough directions that products are worthwhile in every network here.
constexpr std::size_t kMany = 1000;

constexpr double kTolerance = 1e-5;

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
    weights.widen();
    weights.assign(example.parameters.data());
    std::vector<WorkspaceOf<double>> workspaces;
    for (int i = 0; i < threadCount; ++i) workspaces.emplace_back(plan);
    pass.run(example.problem(), weights, workspaces, threads(threadCount), &base);
    // Any numbers that are not small, so that what is of second order counts.
    std::vector<float> moved(example.parameters.rbegin(), example.parameters.rend());
    steps.assign(moved.data());
    products.reserve(threadCount);
    products.compute(example.problem(), base, kMany, threads(threadCount));
  }

  Plan plan;
  int blocks;
  Weights weights, steps;
  Float64Pass pass;
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
      if (!run.products.available(step)) continue;
      ++covered;
      for (int channel = 0; channel < run.plan.map(step.output).channels; ++channel) {
        const InputProducts::Moments known = run.products.moments(step, channel, run.steps);
        const PlaneMoments direct = momentsOfChange(example, run, step, channel);
        const double size = total(direct.square);
        CHECK(size != 0);
        CHECK_NEAR(known.square, size, 1e-5 * std::abs(size));
        CHECK_NEAR(known.sum, total(direct.sum), 1e-5 * (1 + std::abs(total(direct.sum))));
      }
    }
    CHECK(covered > 0);
  }
}

// A first convolution that two batch norms read in different segments, or a batch norm and a bare ReLU.
Graph readTwice(bool bareRelu) {
  Builder builder({3, 8, 8});
  builder.convolution(4, 3, 3, 1, 1, true);
  const int first = builder.value;
  builder.batchNorm().relu().convolution(4, 3, 3, 1, 1, false).batchNorm().relu();
  const int deep = builder.value;
  builder.value = first;
  if (!bareRelu) builder.batchNorm();
  return builder.relu().add(deep).globalAveragePool().flatten().linear(3, true).graph();
}

// Relative error of the changes along a few directions, with products where they are supported. Along a single one,
// what its coordinates change may cancel, and leave little but rounding.
double directionsError(const Example& example, float mu, const Kernels& table = kernels()) {
  constexpr int kDirections = 4;
  const std::size_t d = example.graph.parameterCount();
  RandomizedOptions options;
  options.seed = 3;
  const Directions directions(example.graph, options);
  Engine engine(example.graph, table);
  const double loss = engine.begin(example.problem(), threads(2), QueryKind::AllChange, kMany).loss;
  std::vector<double> changes, expected, direction(d), moved(d);
  std::vector<float> steps(d);
  for (int k = 0; k < kDirections; ++k) {
    directions.draw(k, 0, d, direction.data());
    for (std::size_t i = 0; i < d; ++i) {
      steps[i] = static_cast<float>(mu * direction[i]);
      moved[i] = double{example.parameters[i]} + steps[i];
    }
    changes.push_back(engine.lossChange(0, steps.data(), example.problem(), {}));
    expected.push_back(referenceEvaluate(example.graph, example.problem(), moved, threads(2)).loss - loss);
  }
  return relativeError(changes, expected);
}

// The convolutions of a graph that support products.
int suited(const Graph& graph) {
  const Plan plan(graph);
  const InputProducts products(plan, kernels(), 1);
  int count = 0;
  for (const Step& step : plan.steps()) count += products.supports(step);
  return count;
}

ISA_TEST("input products: changes along directions agree with the float64 reference on random networks") {
  int examples = 0;
  for (std::uint64_t seed = 1; seed <= kRandomExamples; ++seed) {
    const Example example = randomExample(seed, 12 + seed % 6);
    examples += example.training && suited(example.graph) > 0;
    const double error = directionsError(example, 1e-3f);
    CHECK_PASSES(error < kTolerance ? "" : text("seed ", seed, ": relative error ", error));
  }
  CHECK(examples > 0);
}

ISA_TEST("input products: changes along directions agree with the float64 reference, whatever reads the convolution") {
  for (const Graph& graph : {smallCnn(), smallResNet(), twoFirst(), readTwice(false), readTwice(true)}) {
    for (const int count : {5, 16, 19}) {
      for (const bool training : {true, false}) {
        for (const float brightness : {0.0f, 100.0f}) {
          Example example(graph, count);
          example.training = training;
          for (float& pixel : example.images) pixel += brightness;
          const double error = directionsError(example, 1e-3f);
          CHECK_PASSES(error < kTolerance ? ""
                                          : text(graph.parameterCount(), " parameters, ", count, " images, training ",
                                                 training, ", brightness ", brightness, ": relative error ", error));
        }
      }
    }
  }
}

TEST("input products that count images beyond the last are caught") {
  Kernels wrong = kernels();
  wrong.weightGradient = [](const ConvolutionShape& shape, const float* in, const float* out, int, double* gradient) {
    kernels().weightGradient(shape, in, out, kLanes, gradient);
  };
  const Example example(smallCnn(), 19);
  CHECK(directionsError(example, 1e-3f) < kTolerance);
  CHECK(directionsError(example, 1e-3f, wrong) > 10 * kTolerance);
}

TEST("input products leave no trace in other queries of an engine") {
  Example example(smallCnn(), 19);
  const std::vector<float> steps(example.graph.parameterCount(), 1e-3f);
  const auto all = [&](Engine& engine, std::size_t queries) {
    engine.begin(example.problem(), threads(2), QueryKind::AllChange, queries);
    return engine.lossChange(0, steps.data(), example.problem(), {});
  };
  const auto one = [&](Engine& engine) {
    engine.begin(example.problem(), threads(2), QueryKind::Changes);
    return engine.lossChange(0, std::size_t{5}, 1e-3f, example.problem(), {});
  };
  const auto fresh = [&](const auto& query) {
    Engine engine(example.graph, kernels());
    return query(engine);
  };
  const auto many = [&](Engine& engine) { return all(engine, kMany); };
  const auto few = [&](Engine& engine) { return all(engine, 1); };
  Engine engine(example.graph, kernels());
  const double withProducts = many(engine);
  CHECK(sameBits(withProducts, fresh(many)));
  CHECK(!sameBits(withProducts, fresh(few)));
  CHECK(sameBits(few(engine), fresh(few)));
  CHECK(sameBits(one(engine), fresh(one)));
  example.training = false;
  CHECK(sameBits(many(engine), fresh(few)));
  example.training = true;
  CHECK(sameBits(many(engine), withProducts));
}

TEST("input products stop when cancelled") {
  const Example example(smallCnn(), 19);
  Run run(example);
  std::atomic<bool> cancelled{true};
  Control stopped = threads(2);
  stopped.cancelled = &cancelled;
  CHECK_THROWS(Cancelled, run.products.compute(example.problem(), run.base, kMany, stopped));
}

TEST("input products have the same bits for any number of threads") {
  const Example example(smallCnn(), 40);
  const Run one(example, 1), three(example, 3);
  int covered = 0;
  for (const Step& step : one.plan.steps()) {
    if (!one.products.available(step)) continue;
    ++covered;
    for (int channel = 0; channel < one.plan.map(step.output).channels; ++channel) {
      const auto a = one.products.moments(step, channel, one.steps),
                 b = three.products.moments(step, channel, one.steps);
      CHECK(sameBits(a.sum, b.sum) && sameBits(a.square, b.square));
    }
  }
  CHECK(covered == 1);
}

TEST("input products support first convolutions of few taps whose output only activations read") {
  CHECK(suited(twoFirst()) == 2);
  CHECK(suited(smallResNet()) == 1);
  CHECK(suited(readTwice(true)) == 1);
  const auto network = [](int channels, bool norm) {
    Builder builder({channels, 8, 8});
    builder.convolution(2, 3, 3, 1, 1, false);
    if (norm) builder.batchNorm();
    return builder.relu().globalAveragePool().flatten().linear(2, true).graph();
  };
  CHECK(suited(network(7, true)) == 1);
  CHECK(suited(network(8, true)) == 0);
  CHECK(suited(network(3, false)) == 0);
  const auto readBy = [](auto reader) {
    Builder builder({3, 8, 8});
    builder.convolution(4, 3, 3, 1, 1, false);
    const int first = builder.value;
    builder.batchNorm().relu();
    const int normal = builder.value;
    builder.value = first;
    return reader(builder, normal).globalAveragePool().flatten().linear(2, true).graph();
  };
  CHECK(suited(readBy([](Builder& at, int normal) {
          at.value = normal;
          return at.add(1).relu();
        })) == 0);
  CHECK(suited(readBy([](Builder& at, int normal) { return at.averagePool(1, 1, 1).add(normal); })) == 0);
  CHECK(suited(readBy([](Builder& at, int normal) { return at.convolution(4, 1, 1, 1, 0, false).add(normal); })) == 0);
}

TEST("input products are computed if there are enough directions to be worthwhile") {
  const Example example(smallCnn(), 19);
  Run run(example);
  int computed = 0;
  for (const Step& step : run.plan.steps()) {
    if (!run.products.supports(step)) continue;
    ++computed;
    CHECK(run.products.available(step));
    run.products.compute(example.problem(), run.base, 1, threads(1));
    CHECK(!run.products.available(step));
  }
  CHECK(computed == 1);
}

}  // namespace
}  // namespace deepzero::test
