// Back-propagation against central differences of the float64 reference.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "harness.hpp"
#include "network/engine.hpp"
#include "network/reference.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

std::vector<double> differences(const Example& example, double mu) {
  const std::vector<std::uint32_t> coordinates = example.allCoordinates();
  return referenceCoordinatewise(example.graph, example.problem(), coordinates.data(), coordinates.size(), mu, true,
                                 threads(1), nullptr);
}

std::vector<double> gradientOf(const Kernels& table, const Example& example, Precision precision) {
  Engine engine(example.graph, table);
  return engine.gradient(example.problem(), threads(1), precision).values;
}

// The error of `gradient` where the differences are to be trusted: one of two steps that is nearer. Where a kink lies
// between the points of both, neither is; there are few such.
std::string checkGradient(const Kernels& table, const Example& example) {
  const std::vector<double> found = gradientOf(table, example, Precision::Double);
  const std::vector<double> expected = differences(example, 1e-5);
  double scale = 0;
  for (const double value : expected) scale = std::max(scale, std::abs(value));
  const double error = relativeError(found, expected);
  if (error <= 1e-6) return "";
  return text(table.isa, ", ", example.count, " images, training ", example.training, ", loss ",
              static_cast<int>(example.loss), ": error ", error, " of ", scale);
}

ISA_TEST("gradient: back-propagation equals central differences") {
  for (const int count : {1, 5, 16, 17, 35}) {
    for (const bool training : {true, false}) {
      for (const Graph& graph : {smallResNet(), smallCnn(), averagePools()}) {
        for (const Loss loss : {Loss::CrossEntropy, Loss::MeanSquaredError, Loss::MeanAbsoluteError}) {
          Example example(graph, count);
          example.training = training;
          example.loss = loss;
          CHECK_PASSES(checkGradient(kernels(), example));
        }
      }
    }
  }
}

ISA_TEST("gradient: back-propagation equals central differences on random networks") {
  for (int seed = 0; seed < 200; ++seed) {
    const int counts[] = {1, 15, 16, 17, 40};
    Example example(randomNetwork(seed), counts[seed % 5], seed);
    example.training = seed % 3 != 0;
    example.loss = static_cast<Loss>(seed / 2 % 3);
    const std::string failure = checkGradient(kernels(), example);
    if (!failure.empty()) CHECK_PASSES(text("seed ", seed, ": ", failure));
  }
}

}  // namespace
}  // namespace deepzero::test
