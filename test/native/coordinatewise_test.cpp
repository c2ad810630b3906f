// CGE: against calculus, against the float64 reference, and the same bits however it is run.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include "estimators/estimators.hpp"
#include "harness.hpp"
#include "network/reference/reference.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

struct Run {
  double mu = 5e-3;
  bool central = false;
  Reuse reuse = Reuse::Layer;
  int threads = 1;
};

Estimate estimate(Engine& engine, const Example& example, const std::vector<std::uint32_t>& coordinates, const Run& run,
                  Control control = {}) {
  CoordinatewiseOptions options;
  options.mu = run.mu;
  options.central = run.central;
  options.reuse = run.reuse;
  options.coordinates = coordinates.data();
  options.count = coordinates.size();
  control.threads = run.threads;
  return coordinatewise(engine, example.problem(), options, control);
}

Estimate estimate(const Example& example, const Run& run) {
  Engine engine(example.graph, kernels());
  return estimate(engine, example, example.allCoordinates(), run);
}

// ½xᵀAx of the parameters x: a linear layer without bias, targets 0 and the squared error give A = 2/N Σ aₙaₙᵀ for
// the images aₙ. All numbers are multiples of 1/8, so that float32 computes without rounding.
struct Quadratic {
  static constexpr int kSize = 5, kImages = 21;
  Example example;
  double matrix[kSize][kSize] = {};

  Quadratic() : example(Builder({kSize, 1, 1}).linear(1, false).graph(), kImages) {
    example.loss = Loss::MeanSquaredError;
    for (std::vector<float>* numbers : {&example.parameters, &example.images}) {
      for (float& number : *numbers) number = std::round(number * 8) / 8;
    }
    std::fill(example.targets.begin(), example.targets.end(), 0.0f);
    for (int n = 0; n < kImages; ++n) {
      const float* a = example.images.data() + n * kSize;
      for (int i = 0; i < kSize; ++i) {
        for (int j = 0; j < kSize; ++j) matrix[i][j] += 2.0 / kImages * a[i] * a[j];
      }
    }
  }
  double gradient(int i) const {
    double sum = 0;
    for (int j = 0; j < kSize; ++j) sum += matrix[i][j] * example.parameters[j];
    return sum;
  }
};

ISA_TEST("CGE on ½xᵀAx: one-sided is Ax + (μ/2)·diag A, central is Ax") {
  const Quadratic quadratic;
  const Example& example = quadratic.example;
  for (const double mu : {0.125, 2.0}) {
    const std::vector<std::uint32_t> all = example.allCoordinates();
    const std::vector<double> oneSided = estimate(example, {mu, false}).values;
    const std::vector<double> central = estimate(example, {mu, true}).values;
    const auto reference = [&](bool isCentral) {
      return referenceCoordinatewise(example.graph, example.problem(), all.data(), all.size(), mu, isCentral, {},
                                     nullptr);
    };
    for (int i = 0; i < Quadratic::kSize; ++i) {
      const double gradient = quadratic.gradient(i), bias = mu / 2 * quadratic.matrix[i][i];
      CHECK(bias > 1e-3);
      CHECK_NEAR(oneSided[i], gradient + bias, 1e-12);
      CHECK_NEAR(central[i], gradient, 1e-12);
      CHECK_NEAR(reference(false)[i], gradient + bias, 1e-12);
      CHECK_NEAR(reference(true)[i], gradient, 1e-12);
    }
  }
}

ISA_TEST("CGE at a tiny μ divides by the step that float32 makes") {
  // The absolute error of a weight times one: all losses are exact in float32, and the slope is 1.
  Example example(Builder({1, 1, 1}).linear(1, false).graph(), 1);
  example.loss = Loss::MeanAbsoluteError;
  example.parameters = example.images = {1};
  example.targets = {0};
  for (const Reuse reuse : {Reuse::None, Reuse::Block, Reuse::Layer, Reuse::Incremental}) {
    for (const bool central : {false, true}) {
      // Near 1, floats lie 2⁻²³ ≈ 1.19e-7 apart above and half as far below.
      for (const double mu : {1e-7, 1e-6, 1e-3}) {
        CHECK_NEAR(estimate(example, {mu, central, reuse}).values[0], 1, 1e-12);
      }
    }
  }
}

ISA_TEST("CGE is close to the float64 reference's") {
  for (const bool central : {false, true}) {
    for (const Graph& graph : {smallResNet(), smallCnn()}) {
      for (const int count : {17, 40}) {
        const Example example(graph, count);
        const std::vector<std::uint32_t> all = example.allCoordinates();
        double loss = 0;
        const std::vector<double> slow =
            referenceCoordinatewise(example.graph, example.problem(), all.data(), all.size(), 5e-3, central, {}, &loss);
        const Estimate fast = estimate(example, {5e-3, central});
        CHECK_NEAR(fast.loss, loss, 1e-5);
        // Two losses of size 1 with float32 activations are subtracted, their difference divided by μ.
        CHECK(relativeError(fast.values, slow) < 2e-3);
        CHECK(fast.queries == 1 + all.size() * (central ? 2 : 1));
      }
    }
  }
}

ISA_TEST("CGE with reuse equals CGE without, bit for bit") {
  for (int seed = 0; seed < 30; ++seed) {
    Example example(randomNetwork(seed), 1 + seed % 20, seed);
    example.training = seed % 3 != 0;
    const Run run{5e-3, seed % 2 == 0, seed % 4 < 2 ? Reuse::Layer : Reuse::Block, 1};
    Run without = run;
    without.reuse = Reuse::None;
    CHECK(sameBits(estimate(example, run).values, estimate(example, without).values));
  }
}

ISA_TEST("CGE restarts later for later layers") {
  const Graph graph = smallResNet();
  const Engine engine(graph, kernels());
  int previous = 1;
  for (std::size_t i = 0; i < graph.parameterCount(); ++i) {
    const int cut = cutPoint(engine, i, Reuse::Layer);
    CHECK(cut >= previous);
    previous = cut;
  }
  CHECK(cutPoint(engine, 0, Reuse::Layer) == 1);
  CHECK(previous >= 6);
}

ISA_TEST("CGE restarts at the residual block, no later than at the layer") {
  const Graph graph = smallResNet();
  const Engine engine(graph, kernels());
  int inside = 0;
  for (std::size_t i = 0; i < graph.parameterCount(); ++i) {
    const int layer = cutPoint(engine, i, Reuse::Layer), block = cutPoint(engine, i, Reuse::Block);
    CHECK(block <= layer);
    if (block < layer) ++inside;
  }
  CHECK(inside > 0);
  const Graph chain = smallCnn();
  const Engine chainEngine(chain, kernels());
  for (std::size_t i = 0; i < chain.parameterCount(); ++i) {
    CHECK(cutPoint(chainEngine, i, Reuse::Block) == cutPoint(chainEngine, i, Reuse::Layer));
  }
}

ISA_TEST("CGE has the same bits for every number of threads") {
  for (const bool central : {false, true}) {
    const Example example(smallCnn(), 33);
    const Estimate one = estimate(example, {5e-3, central, Reuse::Layer, 1});
    for (const int threads : {2, 3}) {
      const Estimate more = estimate(example, {5e-3, central, Reuse::Layer, threads});
      CHECK(sameBits(more.values, one.values));
      CHECK(sameBits(more.loss, one.loss));
      CHECK(sameBits(more.outputs, one.outputs));
      CHECK(sameBits(more.statistics, one.statistics));
    }
  }
}

ISA_TEST("sparse CGE equals CGE's entries, in the order asked for") {
  const Example example(smallResNet(), 20);
  Engine engine(example.graph, kernels());
  const std::vector<double> dense = estimate(engine, example, example.allCoordinates(), {}).values;
  std::vector<std::uint32_t> some;
  for (std::uint32_t i = 0; i < dense.size(); i += 3) some.push_back(i);
  std::reverse(some.begin(), some.end());
  std::swap(some[2], some[7]);
  const std::vector<double> sparse = estimate(engine, example, some, {}).values;
  for (std::size_t i = 0; i < some.size(); ++i) CHECK(sameBits(sparse[i], dense[some[i]]));

  const Estimate none = estimate(engine, example, {}, {});
  CHECK(none.values.empty() && none.queries == 1);
}

ISA_TEST("CGE's base pass is the evaluation, and the parameters are only read") {
  const Example example(smallCnn(), 20);
  const std::vector<float> parameters = example.parameters, statistics = example.statistics;
  Engine engine(example.graph, kernels());
  const Evaluation evaluation = engine.evaluate(example.problem(), {});
  const Estimate result = estimate(engine, example, example.allCoordinates(), {});
  CHECK(sameBits(result.loss, evaluation.loss));
  CHECK(sameBits(result.outputs, evaluation.outputs));
  CHECK(sameBits(result.statistics, evaluation.statistics));
  CHECK(sameBits(example.parameters, parameters));
  CHECK(sameBits(example.statistics, statistics));
  CHECK(sameBits(estimate(engine, example, example.allCoordinates(), {}).values, result.values));
}

ISA_TEST("CGE names the coordinate of a loss that is not finite, and leaves no trace") {
  Example example(Builder({4, 1, 1}).linear(2, true).graph(), 3);
  example.loss = Loss::MeanAbsoluteError;
  example.parameters[2] = example.parameters[6] = 0;
  for (int n = 0; n < 3; ++n) example.images[n * 4 + 2] = 3e38f;
  Engine engine(example.graph, kernels());
  const std::vector<std::uint32_t> harmless = {0, 1, 3, 4, 5, 7, 8, 9};
  const Run run{2.0, false, Reuse::Layer, 2};
  const std::vector<double> before = estimate(engine, example, harmless, run).values;
  for (const std::uint32_t bad : {2u, 6u}) {
    std::vector<std::uint32_t> coordinates = harmless;
    coordinates.insert(coordinates.begin() + 4, bad);
    try {
      estimate(engine, example, coordinates, run);
      CHECK(!"thrown");
    } catch (const NonFinite& error) {
      CHECK(error.coordinate == bad);
    }
    CHECK(sameBits(estimate(engine, example, harmless, run).values, before));
  }
  example.images[0] = std::numeric_limits<float>::quiet_NaN();
  try {
    estimate(engine, example, harmless, run);
    CHECK(!"thrown");
  } catch (const NonFinite& error) {
    CHECK(error.coordinate == -1);
  }
}

ISA_TEST("CGE reports every coordinate, one call at a time") {
  const Example example(smallResNet(), 5);
  for (const int threads : {1, 2, 3}) {
    Engine engine(example.graph, kernels());
    std::atomic<int> inside{0};
    std::size_t last = 0;
    Control control;
    control.progress = [&](std::size_t done, std::size_t total) {
      CHECK(inside.fetch_add(1) == 0);
      CHECK(done == last + 1 && done <= total);
      last = done;
      inside.fetch_sub(1);
    };
    Run run;
    run.threads = threads;
    const Estimate result = estimate(engine, example, example.allCoordinates(), run, control);
    CHECK(last == result.values.size());
  }
}

ISA_TEST("CGE stops when another thread cancels it, and leaves no trace") {
  const Example example(smallResNet(), 20);
  Engine engine(example.graph, kernels());
  Run run;
  run.threads = 2;
  const std::vector<double> before = estimate(engine, example, example.allCoordinates(), run).values;

  std::atomic<bool> started{false}, cancelled{false};
  std::thread canceller([&] {
    while (!started) std::this_thread::yield();
    cancelled = true;
  });
  std::size_t last = 0;
  Control control;
  control.cancelled = &cancelled;
  // Holds its thread until the other has spoken, so that the sweep cannot end before.
  control.progress = [&](std::size_t done, std::size_t) {
    last = done;
    started = true;
    while (!cancelled) std::this_thread::yield();
  };
  CHECK_THROWS(Cancelled, estimate(engine, example, example.allCoordinates(), run, control));
  canceller.join();
  CHECK(last > 0);
  CHECK(sameBits(estimate(engine, example, example.allCoordinates(), run).values, before));
}

}  // namespace
}  // namespace deepzero::test
