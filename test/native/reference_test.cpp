// The float64 reference against cases computed by hand, and against what calculus says of a smooth network.
#include "network/reference/reference.hpp"

#include <atomic>
#include <cmath>
#include <limits>

#include "harness.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

// The output of a network with one image, given its input and parameters.
std::vector<double> outputOf(const Builder& network, const std::vector<float>& image,
                             const std::vector<double>& parameters) {
  Example example(network.graph(), 1);
  example.images = image;
  example.loss = Loss::MeanSquaredError;
  return referenceEvaluate(example.graph, example.problem(), parameters, {}).values.back();
}

double lossOf(Loss loss, const std::vector<float>& outputs, int count, const std::vector<float>& targets,
              const std::vector<std::int32_t>& labels) {
  Example example(Builder({static_cast<int>(outputs.size()) / count, 1, 1}).flatten().graph(), count);
  example.images = outputs;
  example.loss = loss;
  example.targets = targets;
  example.labels = labels;
  return referenceEvaluate(example.graph, example.problem(), {}, {}).loss;
}

using Numbers = std::vector<double>;

TEST("reference: convolutions by hand") {
  const Numbers ramp = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  CHECK(outputOf(Builder({1, 2, 2}).convolution(1, 3, 3, 1, 1, false), {1, 2, 3, 4}, ramp) ==
        (Numbers{5 + 2 * 6 + 3 * 8 + 4 * 9, 4 + 2 * 5 + 3 * 7 + 4 * 8, 2 + 2 * 3 + 3 * 5 + 4 * 6,
                 1 + 2 * 2 + 3 * 4 + 4 * 5}));
  // Stride 2, a kernel of one row, a bias; only output row 1 lies on an input row.
  CHECK(outputOf(Builder({1, 3, 4}).convolution(1, 1, 3, 2, 1, true), {9, 9, 9, 9, 1, 2, 3, 4, 9, 9, 9, 9},
                 {1, 10, 100, 0.5}) == (Numbers{0.5, 0.5, 210.5, 432.5, 0.5, 0.5}));
  // Two channels in and out, 1×1.
  CHECK(outputOf(Builder({2, 1, 1}).convolution(2, 1, 1, 1, 0, true), {3, 5}, {1, 2, 3, 4, 10, 20}) ==
        (Numbers{23, 49}));
  // Padding wider than the kernel: some taps never meet the input.
  CHECK(outputOf(Builder({1, 1, 1}).convolution(1, 1, 1, 1, 2, false), {3}, {2})[12] == 6);
  CHECK(outputOf(Builder({1, 1, 1}).convolution(1, 5, 5, 3, 2, false), {3}, Numbers(25, 2)) == (Numbers{6}));
}

TEST("reference: the other layers by hand") {
  CHECK(outputOf(Builder({1, 1, 3}).relu(), {-1, 0, 2}, {}) == (Numbers{0, 0, 2}));
  CHECK(outputOf(Builder({1, 1, 3}).leakyRelu(0.25), {-1, 0, 2}, {}) == (Numbers{-0.25, 0, 2}));
  CHECK(outputOf(Builder({1, 1, 3}).tanh(), {-40, 0, 1}, {}) == (Numbers{-1, 0, std::tanh(1.0)}));
  CHECK(outputOf(Builder({1, 1, 2}).relu().add(0), {-1, 2}, {}) == (Numbers{-1, 4}));
  CHECK(outputOf(Builder({1, 3, 3}).optionA(3, 2), {1, 2, 3, 4, 5, 6, 7, 8, 9}, {}) ==
        (Numbers{0, 0, 0, 0, 1, 3, 7, 9, 0, 0, 0, 0}));
  CHECK(outputOf(Builder({1, 3, 3}).maxPool(2, 1), {1, 2, 3, 4, 9, 6, 7, 8, 5}, {}) == (Numbers{9, 9, 9, 9}));
  CHECK(outputOf(Builder({1, 3, 3}).maxPool(2, 2), {-1, -2, -3, -4, -9, -6, -7, -8, -5}, {}) == (Numbers{-1}));
  CHECK(outputOf(Builder({2, 1, 2}).globalAveragePool(), {1, 2, 3, 5}, {}) == (Numbers{1.5, 4}));
  CHECK(outputOf(Builder({1, 3, 3}).averagePool(2, 2, 1), {1, 2, 3, 4, 9, 6, 7, 8, 5}, {}) == (Numbers{4, 5, 7, 7}));
  CHECK(outputOf(Builder({1, 3, 3}).averagePool(2, 2, 2), {1, 2, 3, 4, 9, 6, 7, 8, 5}, {}) == (Numbers{4}));
  CHECK(outputOf(Builder({2, 2, 4}).averagePool(1, 3, 1), {1, 2, 3, 7, 0, 0, 3, 3, 6, 6, 6, 6, 1, 1, 1, 4}, {}) ==
        (Numbers{2, 4, 1, 2, 6, 6, 1, 2}));
  CHECK(outputOf(Builder({2, 1, 2}).flatten().linear(2, true), {1, 2, 3, 4}, {1, 10, 100, 1000, 4, 3, 2, 1, 0.5, -1}) ==
        (Numbers{4321.5, 19}));
}

TEST("reference: batch norm by hand, in training and evaluation") {
  // One channel, two images of two pixels: mean 2.5, biased variance 1.25, unbiased 5/3.
  Example example(Builder({1, 1, 2}).batchNorm().graph(), 2);
  example.images = {1, 2, 3, 4};
  example.statistics = {10, 4};
  example.loss = Loss::MeanSquaredError;
  const Numbers parameters = {3, 0.5};
  const double epsilon = example.graph.operations()[0].epsilon;
  for (const bool training : {true, false}) {
    example.training = training;
    const ReferenceEvaluation result = referenceEvaluate(example.graph, example.problem(), parameters, {});
    const double mean = training ? 2.5 : 10, variance = training ? 1.25 : 4;
    for (int i = 0; i < 4; ++i) {
      CHECK_NEAR(result.values.back()[i], 3 * (i + 1 - mean) / std::sqrt(variance + epsilon) + 0.5, 1e-14);
    }
    CHECK_NEAR(result.statistics[0], training ? 0.9 * 10 + 0.1 * 2.5 : 10, 1e-14);
    CHECK_NEAR(result.statistics[1], training ? 0.9 * 4 + 0.1 * 5 / 3 : 4, 1e-14);
  }
}

TEST("reference: losses by hand") {
  const float ln3 = std::log(3.0f);
  CHECK_NEAR(lossOf(Loss::CrossEntropy, {0, ln3}, 1, {}, {0}), std::log(4), 1e-7);
  CHECK_NEAR(lossOf(Loss::CrossEntropy, {0, ln3, ln3, 0}, 2, {}, {0, 0}), (std::log(4) + std::log(4.0 / 3)) / 2, 1e-7);
  CHECK_NEAR(lossOf(Loss::CrossEntropy, {1000, 0}, 1, {}, {1}), 1000, 0);
  CHECK_NEAR(lossOf(Loss::MeanSquaredError, {1, 2, 3, 4}, 2, {1, 0, 0, 2}, {}), (0 + 4 + 9 + 4) / 4.0, 0);
  CHECK_NEAR(lossOf(Loss::MeanAbsoluteError, {1, 2, 3, 4}, 2, {1, 0, 7, 2}, {}), (0 + 2 + 4 + 2) / 4.0, 0);
}

TEST("reference: NaN and infinity reach the loss") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  CHECK_THROWS(NonFinite, outputOf(Builder({1, 1, 2}).tanh(), {1, nan}, {}));
  for (const float bad : {nan, infinity}) {
    CHECK_THROWS(NonFinite, outputOf(Builder({1, 1, 2}).relu(), {1, bad}, {}));
    CHECK_THROWS(NonFinite, outputOf(Builder({1, 1, 2}).leakyRelu(0.1), {1, bad}, {}));
    CHECK_THROWS(NonFinite, outputOf(Builder({1, 2, 2}).maxPool(2, 1), {1, bad, 1, 2}, {}));
    CHECK_THROWS(NonFinite, outputOf(Builder({1, 2, 2}).averagePool(2, 2, 1), {1, bad, 1, 2}, {}));
    CHECK_THROWS(NonFinite, lossOf(Loss::CrossEntropy, {0, bad}, 1, {}, {0}));
    CHECK_THROWS(NonFinite, lossOf(Loss::MeanAbsoluteError, {0, bad}, 1, {0, 0}, {}));
  }
}

// A network without kinks.
Example smooth() {
  Builder network({2, 4, 4});
  network.convolution(3, 3, 3, 1, 1, true)
      .batchNorm()
      .tanh()
      .convolution(2, 3, 3, 2, 0, false)
      .flatten()
      .linear(3, true);
  return Example(network.graph(), 5);
}

std::vector<double> reference(const Example& example, double mu, bool central, const Control& control = {}) {
  const std::vector<std::uint32_t> all = example.allCoordinates();
  return referenceCoordinatewise(example.graph, example.problem(), all.data(), all.size(), mu, central, control,
                                 nullptr);
}

TEST("reference: on a smooth network the error is of second order if central, of first order if not") {
  const Example example = smooth();
  const double mu = 1e-2;
  const std::vector<double> gradient = reference(example, 1e-5, true);
  CHECK_NEAR(
      relativeError(reference(example, mu, true), gradient) / relativeError(reference(example, mu / 2, true), gradient),
      4, 0.1);
  CHECK_NEAR(relativeError(reference(example, mu, false), gradient) /
                 relativeError(reference(example, mu / 2, false), gradient),
             2, 0.1);
  CHECK(relativeError(reference(example, mu, true), gradient) < 1e-3);
}

TEST("reference: same bits for every number of threads") {
  Example example(smallResNet(), 5);
  std::vector<double> one, two;
  Control control;
  one = reference(example, 1e-3, false, control);
  control.threads = 2;
  two = reference(example, 1e-3, false, control);
  CHECK(sameBits(one, two));
}

TEST("reference: names the coordinate of a loss that is not finite") {
  // The square of μ, or of μ times the large pixel, overflows.
  Example example(Builder({3, 1, 1}).linear(1, false).graph(), 1);
  example.loss = Loss::MeanSquaredError;
  example.images = {1, 1e38f, 1};
  example.parameters = {1, 0, 1};
  try {
    reference(example, 1e300, false);
    CHECK(!"thrown");
  } catch (const NonFinite& error) {
    CHECK(error.coordinate == 0);
  }
  try {
    reference(example, 1e130, false);
    CHECK(!"thrown");
  } catch (const NonFinite& error) {
    CHECK(error.coordinate == 1);
  }
}

TEST("reference: reports every query, and stops when cancelled") {
  const Example example = smooth();
  const std::size_t total = 1 + 2 * example.graph.parameterCount();
  std::atomic<bool> cancelled{false};
  std::size_t calls = 0;
  Control control;
  control.cancelled = &cancelled;
  control.progress = [&](std::size_t done, std::size_t of) {
    CHECK(done == ++calls);
    CHECK(of == total);
  };
  reference(example, 1e-3, true, control);
  CHECK(calls == total);

  control.progress = [&](std::size_t done, std::size_t) { cancelled = done == 3; };
  CHECK_THROWS(Cancelled, reference(example, 1e-3, true, control));
}

}  // namespace
}  // namespace deepzero::test
