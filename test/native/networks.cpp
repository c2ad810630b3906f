#include "networks.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "block.hpp"

namespace deepzero::test {

Builder& Builder::append(Operation operation) {
  operation.inputs[0] = value;
  operations_.push_back(operation);
  value = static_cast<int>(operations_.size());
  return *this;
}

Shape Builder::shapeOf(int wanted) const { return operations_.empty() ? input_ : graph().shapes()[wanted]; }

Builder& Builder::convolution(int channels, int kernelHeight, int kernelWidth, int stride, int padding, bool bias) {
  Operation operation;
  operation.kind = Kind::Convolution;
  operation.channels = channels;
  operation.kernelHeight = kernelHeight;
  operation.kernelWidth = kernelWidth;
  operation.stride = stride;
  operation.padding = padding;
  operation.bias = bias;
  return append(operation);
}

Builder& Builder::batchNorm() {
  Operation operation;
  operation.kind = Kind::BatchNorm;
  return append(operation);
}

Builder& Builder::relu() { return append(Operation{}); }

Builder& Builder::leakyRelu(double slope) {
  Operation operation;
  operation.kind = Kind::LeakyRelu;
  operation.slope = slope;
  return append(operation);
}

Builder& Builder::tanh() {
  Operation operation;
  operation.kind = Kind::Tanh;
  return append(operation);
}

Builder& Builder::add(int other) {
  Operation operation;
  operation.kind = Kind::Add;
  operation.inputs[1] = other;
  return append(operation);
}

Builder& Builder::optionA(int channels, int stride) {
  Operation operation;
  operation.kind = Kind::OptionA;
  operation.channels = channels;
  operation.stride = stride;
  return append(operation);
}

Builder& Builder::maxPool(int kernel, int stride) {
  Operation operation;
  operation.kind = Kind::MaxPool;
  operation.kernel = kernel;
  operation.stride = stride;
  return append(operation);
}

Builder& Builder::averagePool(int kernelHeight, int kernelWidth, int stride) {
  Operation operation;
  operation.kind = Kind::AveragePool;
  operation.kernelHeight = kernelHeight;
  operation.kernelWidth = kernelWidth;
  operation.stride = stride;
  return append(operation);
}

Builder& Builder::flatten() {
  Operation operation;
  operation.kind = Kind::Flatten;
  return append(operation);
}

Builder& Builder::linear(int features, bool bias) {
  Operation operation;
  operation.kind = Kind::Linear;
  operation.channels = features;
  operation.bias = bias;
  return append(operation);
}

Example::Example(Graph network, int images_, std::uint64_t seed) : graph(std::move(network)), count(images_) {
  Values values(seed);
  for (const Parameter& tensor : graph.parameters()) {
    const bool isGamma = !tensor.isBias && graph.operations()[tensor.operation].kind == Kind::BatchNorm;
    const std::size_t outputs = graph.shapes()[tensor.operation + 1].channels;
    // Uniform with the variance 2/fanIn of Kaiming's initialisation, so that signals keep their size.
    const float bound = std::sqrt(6.0f * static_cast<float>(outputs) / static_cast<float>(tensor.size));
    for (std::size_t i = 0; i < tensor.size; ++i) {
      const float value = values.next();
      parameters.push_back(isGamma ? 1 + 0.3f * value : tensor.isBias ? 0.3f * value : bound * value);
    }
  }
  for (std::size_t i = 0; i < graph.statisticsCount(); ++i) statistics.push_back(1 + 0.3f * values.next());
  for (std::size_t i = 0; i < count * graph.shapes()[0].size(); ++i) images.push_back(2 * values.next());
  for (std::size_t i = 0; i < count * graph.output().size(); ++i) targets.push_back(values.next());
  for (int i = 0; i < count; ++i) labels.push_back(values.below(static_cast<int>(graph.output().size())));
}

Problem Example::problem() const {
  Problem problem;
  problem.parameters = parameters.data();
  problem.statistics = statistics.data();
  problem.images = images.data();
  problem.count = count;
  problem.loss = loss;
  problem.labels = labels.data();
  problem.targets = targets.data();
  problem.training = training;
  return problem;
}

std::vector<std::uint32_t> Example::allCoordinates() const {
  std::vector<std::uint32_t> result(graph.parameterCount());
  std::iota(result.begin(), result.end(), 0u);
  return result;
}

namespace {

// Appends a nonlinearity.
using Bend = std::function<void(Builder&)>;

void relu(Builder& network) { network.relu(); }
void tanh(Builder& network) { network.tanh(); }

// body(x) + x, or with a stride body(x) + optionA(x), which adds two channels.
void residual(Builder& network, int stride, int convolutions = 2, const Bend& bend = relu) {
  const int before = network.value, channels = network.shape().channels + (stride == 1 ? 0 : 2);
  network.convolution(channels, 3, 3, stride, 1, false).batchNorm();
  if (convolutions == 2) {
    bend(network);
    network.convolution(channels, 3, 3, 1, 1, false).batchNorm();
  }
  const int body = network.value;
  network.value = before;
  if (stride > 1) network.optionA(channels, stride);
  bend(network.add(body));
}

}  // namespace

Graph smallResNet() {
  Builder network({2, 6, 5});
  network.convolution(2, 3, 3, 1, 1, false).batchNorm().relu();
  residual(network, 1);
  residual(network, 2);
  network.globalAveragePool().linear(3, true);
  return network.graph();
}

Graph shortResiduals() {
  Builder network({2, 12, 12});
  network.convolution(8, 3, 3, 1, 1, false).batchNorm().relu();
  for (int block = 0; block < 3; ++block) residual(network, 1, 1);
  network.globalAveragePool().linear(3, true);
  return network.graph();
}

Graph smallCnn() {
  Builder network({3, 8, 8});
  for (int depth = 0; depth < 2; ++depth) {
    network.convolution(3, 3, 3, 1, 1, true).batchNorm().relu().maxPool(2, 2);
  }
  network.globalAveragePool().linear(4, true);
  return network.graph();
}

Graph averagePools() {
  Builder network({2, 12, 10});
  network.convolution(3, 3, 3, 1, 1, true).averagePool(2, 1, 1);
  const int other = network.value;
  network.value = 0;
  network.averagePool(2, 1, 1).convolution(3, 3, 3, 1, 1, false).add(other).relu().averagePool(2, 3, 2);
  network.batchNorm().averagePool(2, 2, 1).relu().convolution(4, 3, 3, 1, 1, false).averagePool(3, 2, 1);
  network.optionA(6, 1).averagePool(1, 2, 1).flatten().linear(3, true);
  return network.graph();
}

Graph nonlinearities() {
  Builder network({2, 9, 9});
  network.convolution(4, 3, 3, 1, 1, true).leakyRelu(0.1).maxPool(2, 1);
  residual(network, 1, 2, tanh);
  network.maxPool(2, 2).leakyRelu(0.01);
  residual(network, 1, 1, [](Builder& at) { at.leakyRelu(0.5); });
  network.tanh().batchNorm().tanh().maxPool(2, 1).tanh();
  return network.flatten().linear(4, true).tanh().linear(3, true).graph();
}

// One draw a statement: the order in which arguments are evaluated differs by compiler.
Graph randomNetwork(std::uint64_t seed) {
  Values values(seed);
  const Bend bend = [&](Builder& at) {
    switch (values.below(3)) {
      case 0: at.relu(); break;
      case 1: at.leakyRelu(0.3 * values.below(3)); break;
      case 2: at.tanh(); break;
    }
  };
  Builder network({1 + values.below(4), 5 + values.below(5), 5 + values.below(5)});
  const int layers = 3 + values.below(4);
  for (int layer = 0; layer < layers; ++layer) {
    const Shape shape = network.shape();
    switch (values.below(8)) {
      case 0:
      case 1: {
        const int sizes[][2] = {{1, 1}, {3, 3}, {5, 5}, {1, 3}, {2, 2}};
        const int* size = sizes[values.below(5)];
        const int padding = values.below(3), stride = 1 + values.below(2);
        if (shape.height + 2 * padding < size[0] || shape.width + 2 * padding < size[1]) break;
        const bool bias = values.below(2) == 1;
        network.convolution(1 + values.below(6), size[0], size[1], stride, padding, bias);
        break;
      }
      case 2: network.batchNorm(); break;
      case 3: bend(network.batchNorm()); break;
      case 4: bend(network); break;
      case 5: {
        const int convolutions = 1 + values.below(2);
        const int stride = 1 + values.below(2);
        residual(network, stride, convolutions, bend);
        break;
      }
      case 6:
        if (shape.height >= 2 && shape.width >= 2) network.maxPool(2, 1 + values.below(2));
        break;
      case 7: {
        const int height = 1 + values.below(3), width = 1 + values.below(3), stride = 1 + values.below(2);
        if (shape.height >= height && shape.width >= width) network.averagePool(height, width, stride);
        break;
      }
    }
  }
  if (values.below(2) == 0) {
    network.globalAveragePool();
  } else {
    network.flatten();
  }
  if (values.below(2) == 0) bend(network.linear(3, true));
  const bool bias = values.below(2) == 1;
  network.linear(2 + values.below(4), bias);
  return network.graph();
}

Example randomExample(std::uint64_t seed, int images) {
  Example example(randomNetwork(seed), images, seed);
  example.loss = static_cast<Loss>(seed % 3);
  example.training = seed % 4 != 0;
  return example;
}

double relativeError(const std::vector<double>& actual, const std::vector<double>& expected) {
  if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    difference += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return difference == 0 ? 0 : std::sqrt(difference / norm);
}

double largestError(const std::vector<double>& actual, const std::vector<double>& expected) {
  if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(actual[i] - expected[i]) / (1 + std::abs(expected[i])));
  }
  return largest;
}

namespace {

template <typename T>
bool equalMemory(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace

bool sameBits(const std::vector<double>& a, const std::vector<double>& b) { return equalMemory(a, b); }
bool sameBits(const std::vector<float>& a, const std::vector<float>& b) { return equalMemory(a, b); }

}  // namespace deepzero::test
