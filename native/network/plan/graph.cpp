#include "network/plan/graph.hpp"

#include <algorithm>
#include <utility>

namespace deepzero {

namespace {

void require(bool holds, int operation, const char* what) {
  if (!holds) throw std::invalid_argument("operation " + std::to_string(operation) + ": " + what);
}

// Keeps every index that a kernel computes within 32 bits per plane and every product within 63.
constexpr int kLargestExtent = 1 << 20;

// Flat indices fit into an int.
constexpr std::size_t kMostParameters = 0x7fffffff;

bool sensible(const Shape& shape) {
  const auto within = [](int extent) { return extent >= 1 && extent <= kLargestExtent; };
  return within(shape.channels) && within(shape.height) && within(shape.width) &&
         shape.size() <= (std::size_t{1} << 28);
}

}  // namespace

Graph::Graph(Shape input, std::vector<Operation> operations) : operations_(std::move(operations)) {
  if (!sensible(input)) throw std::invalid_argument("the input has no or too many elements");
  if (operations_.empty()) throw std::invalid_argument("a network needs at least one operation");
  shapes_.push_back(input);
  for (int i = 0; i < static_cast<int>(operations_.size()); ++i) {
    const Operation& operation = operations_[i];
    const bool binary = operation.kind == Kind::Add;
    for (int k = 0; k < (binary ? 2 : 1); ++k) {
      require(operation.inputs[k] >= 0 && operation.inputs[k] <= i, i, "an input is not an earlier value");
    }
    if (!binary) operations_[i].inputs[1] = -1;
    const Shape shape = infer(i);
    require(sensible(shape), i, "the output has no or too many elements");
    shapes_.push_back(shape);

    weight_.push_back(-1);
    bias_.push_back(-1);
    statistics_.push_back(statisticsCount_);
    const auto parameter = [&](bool isBias, std::size_t size) {
      require(size <= kMostParameters - parameterCount_, i, "the network has too many parameters");
      (isBias ? bias_ : weight_).back() = static_cast<int>(parameters_.size());
      parameters_.push_back({i, isBias, parameterCount_, size});
      parameterCount_ += size;
    };
    const std::size_t in = shapes_[operation.inputs[0]].channels, out = shape.channels;
    switch (operation.kind) {
      case Kind::Convolution:
        parameter(false, out * in * operation.kernelHeight * operation.kernelWidth);
        if (operation.bias) parameter(true, out);
        break;
      case Kind::Linear:
        parameter(false, out * in);
        if (operation.bias) parameter(true, out);
        break;
      case Kind::BatchNorm:
        parameter(false, out);
        parameter(true, out);
        statisticsCount_ += 2 * out;
        break;
      default: break;
    }
  }
}

Shape Graph::infer(int index) const {
  const Operation& operation = operations_[index];
  const Shape& in = shapes_[operation.inputs[0]];
  const auto window = [&](int extent, int kernel, int padding) {
    return (extent + 2 * padding - kernel) / operation.stride + 1;
  };
  require(operation.stride >= 1 && operation.stride <= kLargestExtent, index, "the stride is out of range");
  switch (operation.kind) {
    case Kind::Convolution: {
      const int kh = operation.kernelHeight, kw = operation.kernelWidth, padding = operation.padding;
      require(kh >= 1 && kw >= 1 && kh <= 1024 && kw <= 1024, index, "the kernel is out of range");
      require(padding >= 0 && padding <= 1024, index, "the padding is out of range");
      require(in.height + 2 * padding >= kh && in.width + 2 * padding >= kw, index,
              "the kernel is larger than its input");
      return {operation.channels, window(in.height, kh, padding), window(in.width, kw, padding)};
    }
    case Kind::BatchNorm: require(operation.epsilon > 0, index, "epsilon must be positive"); return in;
    case Kind::LeakyRelu:
      // Only monotone functions can change places with a max pool.
      require(operation.slope >= 0 && operation.slope < 1, index, "the slope is out of range");
      return in;
    case Kind::Relu:
    case Kind::Tanh: return in;
    case Kind::Add: require(in == shapes_[operation.inputs[1]], index, "the summands' shapes differ"); return in;
    case Kind::OptionA:
      require(operation.channels >= in.channels && (operation.channels - in.channels) % 2 == 0, index,
              "option A adds an even number of channels");
      return {operation.channels, (in.height - 1) / operation.stride + 1, (in.width - 1) / operation.stride + 1};
    case Kind::MaxPool:
      require(operation.kernel >= 1 && operation.kernel <= in.height && operation.kernel <= in.width, index,
              "the window is larger than its input");
      return {in.channels, window(in.height, operation.kernel, 0), window(in.width, operation.kernel, 0)};
    case Kind::AveragePool: {
      const int kh = operation.kernelHeight, kw = operation.kernelWidth;
      require(kh >= 1 && kw >= 1 && kh <= in.height && kw <= in.width, index, "the window is larger than its input");
      return {in.channels, window(in.height, kh, 0), window(in.width, kw, 0)};
    }
    case Kind::Flatten: return {static_cast<int>(in.size()), 1, 1};
    case Kind::Linear:
      require(in.height == 1 && in.width == 1, index, "a linear layer needs a flat input");
      return {operation.channels, 1, 1};
  }
  throw std::invalid_argument("unknown kind of operation");
}

int Graph::parameterAt(std::size_t index) const {
  const auto after = std::upper_bound(parameters_.begin(), parameters_.end(), index,
                                      [](std::size_t at, const Parameter& p) { return at < p.offset; });
  return static_cast<int>(after - parameters_.begin()) - 1;
}

}  // namespace deepzero
