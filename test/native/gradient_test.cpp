// Back-propagation against central differences of the float64 reference.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "harness.hpp"
#include "network/reference/reference.hpp"
#include "networks.hpp"
#include "runtime/engine.hpp"

namespace deepzero::test {
namespace {

// Kinks that the differences step over are rare at so small a step; double precision leaves them seven digits.
constexpr double kMu = 1e-7;

std::vector<double> gradientOf(const Kernels& table, const Example& example, Precision precision) {
  Engine engine(example.graph, table);
  return engine.gradient(example.problem(), threads(1), precision).values;
}

// The L2 distance relative to the length, but for what roundings leave of gradients that are zero, of numbers near 1.
double singleError(const std::vector<double>& single, const std::vector<double>& exact) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    difference += (single[i] - exact[i]) * (single[i] - exact[i]);
    norm += exact[i] * exact[i];
  }
  return std::sqrt(difference) / (std::sqrt(norm) + 0.1);
}

// At most this many coordinates, evenly spaced.
std::vector<std::uint32_t> someCoordinates(const Example& example, std::size_t most) {
  const std::size_t all = example.graph.parameterCount(), count = std::min(all, most);
  std::vector<std::uint32_t> result;
  for (std::size_t i = 0; i < count; ++i) result.push_back(static_cast<std::uint32_t>((2 * i + 1) * all / (2 * count)));
  return result;
}

// Of the gradient by these tables, in both precisions.
std::string checkGradient(const std::vector<const Kernels*>& tables, const Example& example) {
  const std::vector<std::uint32_t> coordinates = someCoordinates(example, 120);
  const std::vector<double> expected = referenceCoordinatewise(example.graph, example.problem(), coordinates.data(),
                                                               coordinates.size(), kMu, true, threads(2), nullptr);
  for (const Kernels* table : tables) {
    const std::vector<double> exact = gradientOf(*table, example, Precision::Double);
    std::vector<double> found;
    for (const std::uint32_t coordinate : coordinates) found.push_back(exact[coordinate]);
    const double error = relativeError(found, expected);
    const double single = singleError(gradientOf(*table, example, Precision::Single), exact);
    if (error <= 1e-6 && single <= 1e-5) continue;
    return text(table->isa, ", ", example.count, " images, training ", example.training, ", loss ",
                static_cast<int>(example.loss), ": error ", error, ", of single precision ", single);
  }
  return "";
}

std::vector<const Kernels*> everyTable() {
  const char* const* names;
  const int count = supportedIsas(&names);
  std::vector<const Kernels*> result;
  for (int i = 0; i < count; ++i) result.push_back(findKernels(names[i]));
  return result;
}

std::vector<Graph> graphs() {
  std::vector<Graph> result = {smallResNet(), smallCnn(), averagePools(), nonlinearities()};
  // One value read by convolutions of different padding, by a batch norm and, twice, by a sum; two batch norms of one
  // value; a batch norm and a ReLU that others read too; max pools that overlap; a padding wider than the kernel.
  Builder network({3, 6, 7});
  network.convolution(4, 3, 3, 1, 1, false);
  const int shared = network.value;
  network.convolution(4, 5, 5, 1, 2, true);
  const int wide = network.value;
  network.value = shared;
  network.convolution(4, 1, 1, 1, 0, true).relu().add(wide);
  const int sum = network.value;
  network.add(sum).batchNorm().add(shared);
  network.value = shared;
  network.batchNorm();
  const int normalised = network.value;
  network.relu();
  const int positive = network.value;
  network.value = shared;
  network.batchNorm().add(normalised).add(positive).add(sum).maxPool(3, 1).batchNorm().relu();
  network.convolution(5, 2, 3, 2, 3, true).maxPool(2, 1).flatten().linear(4, true).relu();
  result.push_back(network.linear(3, false).graph());
  // A sum of a value with itself, that nothing else reads; kernels higher than they are wide, and wider, with and
  // without a stride.
  network = Builder({2, 9, 8});
  network.convolution(3, 3, 1, 1, 0, true).relu();
  const int twice = network.value;
  network.add(twice).convolution(3, 3, 1, 1, 0, true).relu().convolution(3, 4, 2, 2, 1, true).relu();
  network.convolution(4, 1, 3, 2, 0, true).relu().convolution(4, 2, 1, 1, 1, false);
  result.push_back(network.globalAveragePool().linear(3, true).graph());
  // The output is not a linear layer's and is read by another operation, and one value with parameters has no reader.
  network = Builder({2, 5, 4});
  network.convolution(3, 3, 3, 1, 1, true);
  network.value = 0;
  network.convolution(2, 3, 3, 2, 1, true).batchNorm();
  result.push_back(network.relu().graph());
  // The first parameters are behind a pool and a sum of the images.
  network = Builder({2, 6, 6});
  network.maxPool(2, 2).add(1).batchNorm().averagePool(2, 2, 1).convolution(2, 3, 3, 1, 1, false);
  result.push_back(network.globalAveragePool().linear(2, true).graph());
  // Maps of whole Winograd tiles, also where the stride leaves smaller ones.
  network = Builder({5, 8, 12});
  network.convolution(6, 3, 3, 1, 1, false).batchNorm().relu().convolution(5, 3, 3, 2, 1, true).relu();
  network.convolution(4, 3, 3, 1, 1, true);
  result.push_back(network.globalAveragePool().linear(2, true).graph());
  return result;
}

TEST("gradient: back-propagation equals central differences of the reference, in training and evaluation") {
  for (const Graph& graph : graphs()) {
    for (const int count : {3, 16, 35}) {
      for (const bool training : {true, false}) {
        for (const Loss loss : {Loss::CrossEntropy, Loss::MeanSquaredError, Loss::MeanAbsoluteError}) {
          Example example(graph, count);
          // The cross-entropy takes outputs of one pixel.
          if (loss == Loss::CrossEntropy && graph.output().height > 1) continue;
          example.training = training;
          example.loss = loss;
          CHECK_PASSES(checkGradient(everyTable(), example));
        }
      }
    }
  }
}

TEST("gradient: back-propagation equals central differences of the reference on random networks") {
  for (int seed = 0; seed < 150; ++seed) {
    const int counts[] = {1, 15, 16, 17, 33};
    Example example(randomNetwork(seed), counts[seed % 5], seed);
    example.training = seed % 3 != 0;
    example.loss = static_cast<Loss>(seed / 2 % 3);
    const std::string failure = checkGradient(everyTable(), example);
    if (!failure.empty()) CHECK_PASSES(text("seed ", seed, ": ", failure));
  }
}

TEST("gradient: a wrong kernel in the table is caught") {
  Kernels wrong = kernels();
  wrong.float64.activateGradient = [](const Activation& shape, const AffineOf<double>& affine, const double* in,
                                      const double* residual, const double* outGradient, double* gradient) {
    kernels().float64.activateGradient(shape, affine, in, residual, outGradient, gradient);
    gradient[3] *= 1.001;
  };
  CHECK(checkGradient({&kernels()}, Example(smallResNet(), 17)).empty());
  CHECK(!checkGradient({&wrong}, Example(smallResNet(), 17)).empty());
}

ISA_TEST("gradient: the evaluation is the one without it, and the bits are the same for every number of threads") {
  for (const bool training : {true, false}) {
    Example example(smallResNet(), 70);
    example.training = training;
    Engine engine(example.graph, kernels());
    const Evaluation alone = engine.evaluate(example.problem(), threads(1));
    for (const Precision precision : {Precision::Single, Precision::Double}) {
      const Gradient one = engine.gradient(example.problem(), threads(1), precision);
      if (precision == Precision::Single) {
        CHECK(sameBits(one.loss, alone.loss));
        CHECK(sameBits(one.outputs, alone.outputs));
        CHECK(sameBits(one.statistics, alone.statistics));
      }
      for (const int count : {2, 3, 8}) {
        const Gradient more = engine.gradient(example.problem(), threads(count), precision);
        CHECK(sameBits(more.loss, one.loss));
        CHECK(sameBits(more.outputs, one.outputs));
        CHECK(sameBits(more.values, one.values));
      }
    }
  }
}

ISA_TEST("gradient: one engine serves batches of any size, in any order, between other computations") {
  const Graph graph = smallCnn();
  Engine engine(graph, kernels());
  for (const int count : {40, 1, 17, 16, 40}) {
    const Example example(graph, count);
    for (const Precision precision : {Precision::Double, Precision::Single}) {
      Engine fresh(graph, kernels());
      const std::vector<double> expected = fresh.gradient(example.problem(), threads(1), precision).values;
      CHECK(sameBits(engine.gradient(example.problem(), threads(2), precision).values, expected));
      engine.begin(example.problem(), threads(2), QueryKind::Changes);
      CHECK(sameBits(engine.gradient(example.problem(), threads(1), precision).values, expected));
      engine.release();
    }
  }
}

ISA_TEST("gradient: empty without parameters, and 0 for parameters that the loss does not depend on") {
  const Graph bare = Builder({3, 4, 4}).maxPool(2, 2).globalAveragePool().graph();
  CHECK(gradientOf(kernels(), Example(bare, 5), Precision::Single).empty());
  Builder network({2, 4, 4});
  network.convolution(3, 3, 3, 1, 1, true);
  network.value = 0;
  network.globalAveragePool().linear(2, true);
  const Example example(network.graph(), 5);
  const std::vector<double> values = gradientOf(kernels(), example, Precision::Single);
  const std::size_t unread = example.graph.parameters()[2].offset;
  for (std::size_t i = 0; i < values.size(); ++i) CHECK((values[i] == 0) == (i < unread));
}

ISA_TEST("gradient: a loss that is not finite is refused, and leaves no trace") {
  Example example(smallResNet(), 20);
  Engine engine(example.graph, kernels());
  const std::vector<float> images = example.images;
  for (const Precision precision : {Precision::Single, Precision::Double}) {
    example.images = images;
    const std::vector<double> before = engine.gradient(example.problem(), threads(2), precision).values;
    example.images[100] = std::numeric_limits<float>::quiet_NaN();
    try {
      engine.gradient(example.problem(), threads(2), precision);
      CHECK(!"thrown");
    } catch (const NonFinite& error) {
      CHECK(error.coordinate == -1);
    }
    example.images = images;
    CHECK(sameBits(engine.gradient(example.problem(), threads(2), precision).values, before));
  }
}

ISA_TEST("gradient: stops when cancelled, also on the way back, and goes on afterwards") {
  const Example example(smallResNet(), 20);
  static std::atomic<bool> cancelled;
  Control control = threads(2);
  control.cancelled = &cancelled;
  Kernels table = kernels();
  // The first gradient of weights is of the last layer.
  table.weightGradient = [](const ConvolutionShape& shape, const float* in, const float* outGradient, int lanes,
                            double* gradient) {
    kernels().weightGradient(shape, in, outGradient, lanes, gradient);
    cancelled = true;
  };
  Engine engine(example.graph, table), fresh(example.graph, kernels());
  for (const bool before : {true, false}) {
    cancelled = before;
    CHECK_THROWS(Cancelled, engine.gradient(example.problem(), control, Precision::Single));
  }
  control.cancelled = nullptr;
  CHECK(sameBits(engine.gradient(example.problem(), control, Precision::Single).values,
                 fresh.gradient(example.problem(), control, Precision::Single).values));
}

}  // namespace
}  // namespace deepzero::test
