// A network as a list of operations over numbered values, with the shapes and parameters it implies.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace deepzero {

enum class Kind { Convolution, BatchNorm, Relu, LeakyRelu, Tanh, Add, OptionA, MaxPool, AveragePool, Flatten, Linear };

struct Shape {
  int channels = 0;
  int height = 0;
  int width = 0;
  std::size_t size() const { return static_cast<std::size_t>(channels) * height * width; }
  bool operator==(const Shape& other) const {
    return channels == other.channels && height == other.height && width == other.width;
  }
};

// One operation as the caller describes it. Operation i reads values `inputs` and computes value i + 1; value 0 is the
// network's input.
struct Operation {
  Kind kind = Kind::Relu;
  int inputs[2] = {0, -1};
  int channels = 0;       // Convolution, OptionA: output channels. Linear: output features.
  int kernelHeight = 1;   // Convolution, AveragePool; otherwise 1
  int kernelWidth = 1;    // Convolution, AveragePool; otherwise 1
  int kernel = 1;         // MaxPool
  int stride = 1;         // Convolution, OptionA, MaxPool, AveragePool
  int padding = 0;        // Convolution
  bool bias = false;      // Convolution, Linear
  double epsilon = 1e-5;  // BatchNorm
  double slope = 0.01;    // LeakyRelu: below zero
};

// One parameter tensor: `size` floats at `offset` of the flat parameter vector, flat OIHW inside.
struct Parameter {
  int operation = 0;
  bool isBias = false;  // bias of a convolution or linear layer, β of a batch norm; otherwise weight or γ
  std::size_t offset = 0;
  std::size_t size = 0;
};

// The constructor checks that the operations fit together, and throws std::invalid_argument if not.
class Graph {
 public:
  Graph(Shape input, std::vector<Operation> operations);

  const std::vector<Operation>& operations() const { return operations_; }
  // Shape of each value: the input, then each operation's output.
  const std::vector<Shape>& shapes() const { return shapes_; }
  const Shape& output() const { return shapes_.back(); }

  // In operation order, weight before bias.
  const std::vector<Parameter>& parameters() const { return parameters_; }
  std::size_t parameterCount() const { return parameterCount_; }
  // The index of the parameter tensor that contains a flat parameter index.
  int parameterAt(std::size_t index) const;
  // Indices into parameters() of the operation's weight (γ) and bias (β), −1 for none.
  int weightOf(int operation) const { return weight_[operation]; }
  int biasOf(int operation) const { return bias_[operation]; }

  // Running statistics: means then variances of each batch norm, in operation order.
  std::size_t statisticsCount() const { return statisticsCount_; }
  std::size_t statisticsOffset(int operation) const { return statistics_[operation]; }

 private:
  Shape infer(int operation) const;

  std::vector<Operation> operations_;
  std::vector<Shape> shapes_;
  std::vector<Parameter> parameters_;
  std::vector<int> weight_, bias_;
  std::vector<std::size_t> statistics_;
  std::size_t parameterCount_ = 0;
  std::size_t statisticsCount_ = 0;
};

}  // namespace deepzero
