// Shapes and parameters that a graph infers, and what it refuses.
#include <cmath>
#include <stdexcept>

#include "harness.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

TEST("graph: shapes of every kind of operation") {
  Builder network({3, 9, 8});
  network.convolution(4, 3, 3, 2, 1, true);
  CHECK((network.shape() == Shape{4, 5, 4}));
  network.convolution(4, 1, 3, 1, 1, false);
  CHECK((network.shape() == Shape{4, 7, 4}));
  network.batchNorm().relu().leakyRelu(0.1).tanh();
  CHECK((network.shape() == Shape{4, 7, 4}));
  network.optionA(8, 2);
  CHECK((network.shape() == Shape{8, 4, 2}));
  network.maxPool(2, 2);
  CHECK((network.shape() == Shape{8, 2, 1}));
  const int pooled = network.value;
  network.globalAveragePool();
  CHECK((network.shape() == Shape{8, 1, 1}));
  // The last row of 9, and the last two columns of 8, lie in no window.
  CHECK((Builder({3, 9, 8}).averagePool(2, 3, 3).shape() == Shape{3, 3, 2}));
  CHECK((Builder({3, 9, 8}).averagePool(9, 1, 1).shape() == Shape{3, 1, 8}));
  network.value = pooled;
  network.flatten();
  CHECK((network.shape() == Shape{16, 1, 1}));
  network.linear(10, true);
  CHECK((network.shape() == Shape{10, 1, 1}));
}

TEST("graph: parameters follow each other in operation order, weight before bias") {
  Builder network({3, 4, 4});
  const Graph graph = network.convolution(5, 3, 3, 1, 1, true).batchNorm().globalAveragePool().linear(2, false).graph();
  const std::size_t sizes[] = {5 * 3 * 9, 5, 5, 5, 10};
  CHECK(graph.parameters().size() == 5);
  std::size_t offset = 0;
  for (int i = 0; i < 5; ++i) {
    const Parameter& tensor = graph.parameters()[i];
    CHECK(tensor.size == sizes[i]);
    CHECK(tensor.offset == offset);
    CHECK(graph.parameterAt(offset) == i);
    CHECK(graph.parameterAt(offset + tensor.size - 1) == i);
    offset += tensor.size;
  }
  CHECK(graph.parameterCount() == offset);
  CHECK(graph.weightOf(0) == 0 && graph.biasOf(0) == 1);
  CHECK(graph.weightOf(1) == 2 && graph.biasOf(1) == 3);
  CHECK(graph.weightOf(2) == -1 && graph.biasOf(2) == -1);
  CHECK(graph.weightOf(3) == 4 && graph.biasOf(3) == -1);
  CHECK(graph.statisticsCount() == 10);
}

TEST("graph: operations that do not fit together are refused") {
  using Wrong = std::invalid_argument;
  const Shape input = {2, 4, 4};
  CHECK_THROWS(Wrong, Graph({0, 4, 4}, {Operation{}}));
  CHECK_THROWS(Wrong, Graph(input, {}));
  CHECK_THROWS(Wrong, Builder(input).convolution(0, 3, 3, 1, 1, true).graph());
  CHECK_THROWS(Wrong, Builder(input).convolution(2, 5, 5, 1, 0, true).graph());
  CHECK_THROWS(Wrong, Builder(input).convolution(2, 0, 3, 1, 1, true).graph());
  CHECK_THROWS(Wrong, Builder(input).convolution(2, 3, 3, 0, 1, true).graph());
  CHECK_THROWS(Wrong, Builder(input).convolution(2, 3, 3, 1, -1, true).graph());
  CHECK_THROWS(Wrong, Builder(input).convolution(1 << 30, 3, 3, 1, 1, true).graph());
  CHECK_THROWS(Wrong, Builder(input).linear(2, true).graph());
  CHECK_THROWS(Wrong, Builder(input).maxPool(5, 1).graph());
  CHECK_THROWS(Wrong, Builder(input).maxPool(2, 0).graph());
  CHECK_THROWS(Wrong, Builder(input).averagePool(5, 1, 1).graph());
  CHECK_THROWS(Wrong, Builder(input).averagePool(1, 5, 1).graph());
  CHECK_THROWS(Wrong, Builder(input).averagePool(0, 1, 1).graph());
  CHECK_THROWS(Wrong, Builder(input).averagePool(1, 0, 1).graph());
  CHECK_THROWS(Wrong, Builder(input).averagePool(2, 2, 0).graph());
  CHECK_THROWS(Wrong, Builder(input).optionA(1, 2).graph());
  CHECK_THROWS(Wrong, Builder(input).convolution(3, 1, 1, 1, 0, true).add(0).graph());
  for (const double slope : {-0.1, 1.0, std::nan("")}) CHECK_THROWS(Wrong, Builder(input).leakyRelu(slope).graph());
  for (const int wrongInput : {-1, 1, 7}) {
    Operation operation;
    operation.inputs[0] = wrongInput;
    CHECK_THROWS(Wrong, Graph(input, {operation}));
  }
  Operation add;
  add.kind = Kind::Add;
  CHECK_THROWS(Wrong, Graph(input, {add}));
}

}  // namespace
}  // namespace deepzero::test
