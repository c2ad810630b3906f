// Incremental queries against the float64 reference, on random networks.
#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <utility>

#include "estimators/directions.hpp"
#include "estimators/estimators.hpp"
#include "harness.hpp"
#include "network/reference/reference.hpp"
#include "networks.hpp"
#include "runtime/engine.hpp"

namespace deepzero::test {
namespace {

// A few units in the last place, and where a change just reaches a kink, a few of float32's in where that is.
constexpr double kTolerance = 1e-4;

std::vector<double> incremental(const Example& example, double mu, bool central, int threadCount,
                                const Kernels& table = kernels()) {
  Engine engine(example.graph, table);
  const std::vector<std::uint32_t> coordinates = example.allCoordinates();
  CoordinatewiseOptions options;
  options.mu = mu;
  options.central = central;
  options.reuse = Reuse::Incremental;
  options.coordinates = coordinates.data();
  options.count = coordinates.size();
  return coordinatewise(engine, example.problem(), options, threads(threadCount)).values;
}

double errorAgainstReference(const Example& example, double mu, bool central, const Kernels& table = kernels()) {
  const std::vector<std::uint32_t> coordinates = example.allCoordinates();
  double loss = 0;
  const std::vector<double> expected = referenceCoordinatewise(example.graph, example.problem(), coordinates.data(),
                                                               coordinates.size(), mu, central, threads(2), &loss);
  return relativeError(incremental(example, mu, central, 2, table), expected);
}

TEST("random examples have average pools before every kind of layer, in training and in evaluation") {
  std::set<std::pair<Kind, bool>> readers, padded;
  for (std::uint64_t seed = 1; seed <= kRandomExamples; ++seed) {
    const Example example = randomExample(seed, 1);
    const std::vector<Operation>& operations = example.graph.operations();
    for (const Operation& operation : operations) {
      for (const int input : operation.inputs) {
        if (input <= 0 || operations[input - 1].kind != Kind::AveragePool) continue;
        // All nonlinearities are read alike.
        const bool bends = operation.kind == Kind::LeakyRelu || operation.kind == Kind::Tanh;
        const Kind kind = bends ? Kind::Relu : operation.kind;
        (operation.padding > 0 ? padded : readers).insert({kind, example.training});
      }
    }
  }
  for (const bool training : {true, false}) {
    for (const Kind kind : {Kind::Convolution, Kind::BatchNorm, Kind::Relu, Kind::Add, Kind::OptionA, Kind::MaxPool,
                            Kind::AveragePool, Kind::Flatten, Kind::Linear}) {
      const bool found = readers.count({kind, training}) > 0;
      CHECK_PASSES(found ? "" : text("kind ", static_cast<int>(kind), ", training ", training));
    }
    CHECK(padded.count({Kind::Convolution, training}) > 0);
  }
}

ISA_TEST("incremental CGE agrees with the float64 reference on random networks") {
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    const Example example = randomExample(seed, seed % 3 == 0 ? 17 : 12);
    const double error = errorAgainstReference(example, seed % 2 == 0 ? 1e-2 : 1e-3, seed % 5 == 0);
    CHECK_PASSES(error < kTolerance ? "" : text("seed ", seed, ": relative error ", error));
  }
}

ISA_TEST("incremental CGE agrees with the float64 reference where subtracting values loses all digits") {
  for (double mu : {1e-6, 1e-4}) {
    CHECK(errorAgainstReference(Example(smallCnn(), 20), mu, false) < kTolerance);
    CHECK(errorAgainstReference(Example(smallResNet(), 20), mu, false) < kTolerance);
  }
}

ISA_TEST("incremental CGE agrees with the float64 reference on residual blocks of one convolution") {
  for (const bool training : {true, false}) {
    Example example(shortResiduals(), 20);
    example.training = training;
    CHECK(errorAgainstReference(example, 1e-3, false) < kTolerance);
  }
}

ISA_TEST("incremental CGE agrees with the float64 reference with pools whose stride is far beyond the map") {
  for (const int width : {2048, 4096}) {
    Builder network({1, 1, width});
    network.convolution(1, 1, 1, 1, 0, false).batchNorm().maxPool(1, 1 << 20).flatten().linear(2, true);
    CHECK(errorAgainstReference(Example(network.graph(), 3), 1e-3, false) < kTolerance);
  }
}

ISA_TEST("incremental CGE agrees with the float64 reference on a network of average pools") {
  Example example(averagePools(), 20);
  for (const bool training : {true, false}) {
    example.training = training;
    for (const double mu : {1e-6, 1e-3}) {
      const double error = errorAgainstReference(example, mu, mu > 1e-4);
      CHECK_PASSES(error < kTolerance ? "" : text("training ", training, ", mu ", mu, ": relative error ", error));
    }
  }
}

// The shortcut's batch norm reads the second convolution after the body has run: what a one-channel change of it is
// computed from must outlive the body's values, which have the same maps.
Graph lateReader() {
  Builder builder({3, 4, 4});
  builder.convolution(4, 1, 1, 1, 0, false).convolution(4, 1, 1, 1, 0, false);
  const int fork = builder.value;
  builder.relu().convolution(4, 1, 1, 1, 0, false);
  const int body = builder.value;
  builder.value = fork;
  return builder.batchNorm().add(body).globalAveragePool().flatten().linear(3, true).graph();
}

ISA_TEST("incremental CGE agrees with the float64 reference where a convolution is read late") {
  CHECK(errorAgainstReference(Example(lateReader(), 16), 1e-3, true) < kTolerance);
}

// The value of the average pool is read by a batch norm, whose convolution may be computed again, and by a ReLU after
// that convolution: it must not be written over there.
Graph recomputedLate() {
  Builder builder({3, 5, 5});
  builder.convolution(4, 1, 1, 1, 0, false).averagePool(2, 2, 1);
  const int fork = builder.value;
  builder.batchNorm().relu().convolution(4, 3, 3, 1, 1, false);
  const int body = builder.value;
  builder.value = fork;
  builder.relu();
  const int side = builder.value;
  builder.value = body;
  return builder.batchNorm().add(side).globalAveragePool().flatten().linear(3, true).graph();
}

ISA_TEST("incremental CGE agrees with the float64 reference where a value is read last before it is recomputed") {
  CHECK(errorAgainstReference(Example(recomputedLate(), 16), 1e-3, true) < kTolerance);
}

TEST("an output without a reader is computed all the same") {
  Builder builder({2, 3, 3});
  builder.batchNorm();
  builder.value = 0;
  const Graph graph = builder.globalAveragePool().flatten().linear(2, true).graph();
  CHECK(errorAgainstReference(Example(graph, 5), 1e-3, false) < kTolerance);
}

// Of two random directions, against the same directions through the reference.
double randomizedError(const Example& example, double mu, bool central, std::uint64_t seed) {
  RandomizedOptions options;
  options.mu = mu;
  options.central = central;
  options.queries = 2;
  options.seed = seed;
  const std::size_t d = example.graph.parameterCount();
  std::vector<double> expected(d, 0.0);
  for (std::size_t q = 0; q < options.queries; ++q) {
    std::vector<double> u(d);
    Directions(example.graph, options).draw(q, 0, d, u.data());
    const auto lossAt = [&](double step) {
      std::vector<double> moved(d);
      for (std::size_t i = 0; i < d; ++i) {
        moved[i] = example.parameters[i] + static_cast<double>(static_cast<float>(step * u[i]));
      }
      return referenceEvaluate(example.graph, example.problem(), moved, threads(2)).loss;
    };
    const double slope = central ? (lossAt(mu) - lossAt(-mu)) / (2 * mu) : (lossAt(mu) - lossAt(0)) / mu;
    for (std::size_t i = 0; i < d; ++i) expected[i] += slope / 2 * u[i];
  }
  Engine engine(example.graph, kernels());
  return relativeError(randomized(engine, example.problem(), options, threads(2)).values, expected);
}

ISA_TEST("incremental RGE agrees with the float64 reference on random networks") {
  for (std::uint64_t seed = 1; seed <= kRandomExamples; ++seed) {
    const Example example = randomExample(seed, 12 + seed % 6);
    const double error = randomizedError(example, seed % 2 == 0 ? 1e-3 : 1e-6, seed % 5 == 0, seed);
    CHECK_PASSES(error < kTolerance ? "" : text("seed ", seed, ": relative error ", error));
  }
}

ISA_TEST("incremental estimates agree with the float64 reference on a network of leaky ReLUs and tanhs") {
  Example example(nonlinearities(), 20);
  for (const bool training : {true, false}) {
    example.training = training;
    for (const double mu : {1e-6, 1e-3}) {
      const double error = errorAgainstReference(example, mu, mu > 1e-4);
      CHECK_PASSES(error < kTolerance ? "" : text("training ", training, ", mu ", mu, ": relative error ", error));
      CHECK(randomizedError(example, mu, false, 1) < kTolerance);
    }
  }
}

// Two branches that read the same activation. A batch norm can do with its distance from a center, a convolution needs
// it as it is; and of two batch norms, the second's ReLU opens elsewhere than the first's.
Graph sharedActivation(bool twoBatchNorms) {
  Builder builder({3, 6, 6});
  builder.convolution(4, 3, 3, 1, 1, false).batchNorm().relu();
  const int fork = builder.value;
  builder.batchNorm().relu().convolution(4, 3, 3, 1, 1, false);
  const int body = builder.value;
  builder.value = fork;
  if (twoBatchNorms) builder.batchNorm().relu();
  return builder.convolution(4, 3, 3, 1, 1, true).add(body).globalAveragePool().flatten().linear(3, true).graph();
}

ISA_TEST("incremental estimates agree with the float64 reference where branches read one activation") {
  for (const bool twoBatchNorms : {false, true}) {
    for (const bool training : {true, false}) {
      Example example(sharedActivation(twoBatchNorms), 16);
      example.training = training;
      CHECK(errorAgainstReference(example, 1e-3, false) < kTolerance);
      CHECK(randomizedError(example, 1e-3, false, 1) < kTolerance);
    }
  }
}

ISA_TEST("incremental CGE has the same bits for any number of threads") {
  const Example example(smallResNet(), 33);
  const std::vector<double> one = incremental(example, 5e-3, false, 1);
  CHECK(sameBits(one, incremental(example, 5e-3, false, 2)));
  CHECK(sameBits(one, incremental(example, 5e-3, false, 3)));
}

ISA_TEST("a variance that falls to zero is not rounded to below it") {
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    Builder network({1, 5, 5});
    network.convolution(1, 1, 1, 1, 0, false).batchNorm().relu().globalAveragePool().linear(3, true);
    Example example(network.graph(), 13, seed);
    for (float& pixel : example.images) pixel *= 100;
    Engine engine(example.graph, kernels());
    engine.begin(example.problem(), {}, QueryKind::Changes);
    // Without its only weight, the convolution yields zeros: their variance is what rounding leaves of it.
    const float step = -example.parameters[0];
    const std::uint32_t coordinate = 0;
    const double expected = step * referenceCoordinatewise(example.graph, example.problem(), &coordinate, 1, step,
                                                           false, threads(1), nullptr)[0];
    const double change = engine.lossChange(0, coordinate, step, example.problem(), {});
    // Rounding errors of the normalised values grow by 1/√ε.
    CHECK_NEAR(change, expected, 0.02);
  }
}

TEST("a large perturbation changes the cross-entropy as much as two losses differ") {
  Example example(smallCnn(), 5);
  CHECK(errorAgainstReference(example, 40.0, false) < kTolerance);
}

TEST("caught: a change kernel that forgets the nonlinearity") {
  Kernels wrong = kernels();
  wrong.activateChange = [](const Activation& shape, const PlaneChange* planes, int count) {
    Activation unbounded = shape;
    unbounded.nonlinearity = Nonlinearity::None;
    kernels().activateChange(unbounded, planes, count);
  };
  CHECK(errorAgainstReference(Example(smallCnn(), 12), 1e-3, false, wrong) > kTolerance);
  CHECK(errorAgainstReference(Example(nonlinearities(), 12), 1e-3, false, wrong) > kTolerance);
}

TEST("caught: an average pool of changes with windows one pixel apart") {
  Kernels wrong = kernels();
  wrong.averagePool = [](const ConvolutionShape& shape, const float* plane, float* out) {
    ConvolutionShape dense = shape;
    dense.stride = 1;
    kernels().averagePool(dense, plane, out);
  };
  CHECK(errorAgainstReference(Example(averagePools(), 12), 1e-3, false) < kTolerance);
  CHECK(errorAgainstReference(Example(averagePools(), 12), 1e-3, false, wrong) > kTolerance);
}

std::vector<float> noise(std::size_t size) {
  std::mt19937 generator(7);
  std::normal_distribution<float> normal;
  std::vector<float> result(size);
  for (float& value : result) value = normal(generator);
  return result;
}

// A map's planes filled with noise inside the zero border.
std::vector<float> image(const Map& map) {
  std::vector<float> values(map.size(), 0.0f);
  const std::vector<float> random = noise(map.size());
  for (int c = 0; c < map.channels; ++c) {
    for (int y = 0; y < map.height; ++y) {
      const std::ptrdiff_t row = map.at(c, y, 0);
      std::copy_n(random.begin() + row, map.width * kLanes, values.begin() + row);
    }
  }
  return values;
}

ISA_TEST("Winograd's convolution with the transformed weights is the direct one") {
  for (const int outputs : {4, 5}) {
    Builder builder({3, 8, 12});
    builder.convolution(outputs, 3, 3, 1, 1, false);
    const Graph graph = builder.graph();
    const Plan plan(graph);
    Weights weights(graph, plan);
    weights.assign(noise(graph.parameterCount()).data());
    const ConvolutionShape shape = plan.convolutionShape(0);
    const std::vector<float> in = image(shape.in);
    std::vector<float> direct(shape.out.size()), fast(shape.out.size()), scratch(shape.winogradScratch());
    kernels().convolution(shape, in.data(), weights.weight(0), nullptr, direct.data());
    kernels().winograd(shape, in.data(), weights.transformed(0), {}, scratch.data(), fast.data());
    const double error = relativeError(inDouble(fast), inDouble(direct));
    CHECK_PASSES(error < 1e-6 ? "" : text(outputs, " outputs: ", error));
  }
}

}  // namespace
}  // namespace deepzero::test
