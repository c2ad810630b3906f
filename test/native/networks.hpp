// Small networks with everything a problem needs, for tests of whatever runs them.
#pragma once

#include <cstdint>
#include <vector>

#include "network/plan/graph.hpp"
#include "network/problem.hpp"
#include "support/control.hpp"

namespace deepzero::test {

// A computation on a number of threads.
inline Control threads(int count) {
  Control control;
  control.threads = count;
  return control;
}

// Appends operations; each method reads value `value`, moves on to its output and returns the builder.
class Builder {
 public:
  explicit Builder(Shape input) : input_(input) {}

  Builder& convolution(int channels, int kernelHeight, int kernelWidth, int stride, int padding, bool bias);
  Builder& batchNorm();
  Builder& relu();
  Builder& leakyRelu(double slope);
  Builder& tanh();
  Builder& add(int other);
  Builder& optionA(int channels, int stride);
  Builder& maxPool(int kernel, int stride);
  Builder& averagePool(int kernelHeight, int kernelWidth, int stride);
  Builder& globalAveragePool() { return averagePool(shape().height, shape().width, 1); }
  Builder& flatten();
  Builder& linear(int features, bool bias);

  // The value that the next operation reads; assigning it starts another branch.
  int value = 0;
  Shape shape() const { return shapeOf(value); }
  Shape shapeOf(int value) const;
  Graph graph() const { return Graph(input_, operations_); }

 private:
  Builder& append(Operation operation);

  Shape input_;
  std::vector<Operation> operations_;
};

// A network at a random point, with a random mini-batch.
struct Example {
  Graph graph;
  int count = 0;
  Loss loss = Loss::CrossEntropy;
  bool training = true;
  std::vector<float> parameters, statistics, images, targets;
  std::vector<std::int32_t> labels;

  Example(Graph network, int images, std::uint64_t seed = 1);
  // Borrows the example's arrays.
  Problem problem() const;
  std::vector<double> parametersInDouble() const { return {parameters.begin(), parameters.end()}; }
  std::vector<std::uint32_t> allCoordinates() const;
};

// A small ResNet: two residual blocks, the second with a stride and an option-A shortcut. About 300 parameters.
Graph smallResNet();
// Residual blocks of one convolution each: its input is added to its output.
Graph shortResiduals();
// The CNN of the paper at depth 2 with few channels: biases, batch norm, max pool.
Graph smallCnn();
// Average pools of the images, of convolutions, activations and a shortcut, read by a convolution, a sum, a batch norm,
// a ReLU, a shortcut and a flattening. The images and their pool have a border; one pool's windows leave out the last
// row and column.
Graph averagePools();
// Leaky ReLUs and tanhs behind convolutions, batch norms, sums, pools, each other and a linear layer, and before pools.
Graph nonlinearities();
// A random sequence of layers and residual blocks that ends in a linear layer.
Graph randomNetwork(std::uint64_t seed);

// Of such networks, with every loss, in training and in evaluation.
inline constexpr std::uint64_t kRandomExamples = 300;
Example randomExample(std::uint64_t seed, int images);

// Relative L2 distance of two vectors; infinite, like the next, if their lengths differ.
double relativeError(const std::vector<double>& actual, const std::vector<double>& expected);
// The largest |actual − expected| / (1 + |expected|).
double largestError(const std::vector<double>& actual, const std::vector<double>& expected);

template <typename T>
std::vector<double> inDouble(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}

bool sameBits(const std::vector<double>& a, const std::vector<double>& b);
bool sameBits(const std::vector<float>& a, const std::vector<float>& b);
inline bool sameBits(double a, double b) { return sameBits(std::vector<double>{a}, std::vector<double>{b}); }

}  // namespace deepzero::test
