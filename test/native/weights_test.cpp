// Weights as the kernels read them.
#include "network/weights.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "harness.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

// Whether both hold the same bits, packed and transformed; `graph` is a convolution for Winograd, another and a linear
// layer.
bool same(const Graph& graph, const Plan& plan, const Weights& a, const Weights& b, bool transposed) {
  for (int i = 0; i < static_cast<int>(graph.operations().size()); ++i) {
    if (graph.weightOf(i) < 0) continue;
    const ConvolutionShape shape = transposed ? plan.convolutionShape(i).transposed() : plan.convolutionShape(i);
    if (std::memcmp(a.weight(i), b.weight(i), shape.packedSize() * sizeof(float)) != 0) return false;
    if (a.transformed(i) == nullptr) continue;
    if (std::memcmp(a.transformed(i), b.transformed(i), shape.winogradSize() * sizeof(float)) != 0) return false;
  }
  return true;
}

TEST("weights: assigned again, with some set in between, they are those of a first assignment") {
  const Graph graph = Builder({3, 8, 8})
                          .convolution(5, 3, 3, 1, 1, true)
                          .convolution(4, 3, 3, 2, 1, false)
                          .globalAveragePool()
                          .flatten()
                          .linear(3, true)
                          .graph();
  const Plan plan(graph);
  std::vector<float> parameters(graph.parameterCount());
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] = static_cast<float>(i % 7) - 3;
  for (const bool transposed : {false, true}) {
    Weights again(graph, plan, transposed);
    again.assign(parameters.data());
    // Set, and not among those that change next.
    for (std::size_t i = 1; i < parameters.size(); i += 11) again.set(i, 100);
    for (const std::size_t stride : {std::size_t{13}, parameters.size()}) {
      for (std::size_t i = 0; i < parameters.size(); i += stride) parameters[i] = -parameters[i];
      again.assign(parameters.data());
      Weights first(graph, plan, transposed);
      first.assign(parameters.data());
      CHECK(same(graph, plan, again, first, transposed));
    }
  }
}

TEST("weights: those in double are equal to the others, whether widened before an assignment or after one") {
  const Graph graph = Builder({3, 8, 8}).convolution(5, 3, 3, 1, 1, true).flatten().linear(3, true).graph();
  const Plan plan(graph);
  std::vector<float> parameters(graph.parameterCount());
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] = 1 / static_cast<float>(i + 1);
  Weights before(graph, plan), after(graph, plan);
  before.widen();
  before.assign(parameters.data());
  after.assign(parameters.data());
  after.widen();
  after.assign(parameters.data());
  for (Weights* weights : {&before, &after}) {
    weights->set(7, 100);
    for (const int operation : {0, 2}) {
      const std::size_t size = plan.convolutionShape(operation).packedSize();
      for (std::size_t i = 0; i < size; ++i) {
        CHECK(weights->wideWeight(operation)[i] == weights->weight(operation)[i]);
      }
    }
  }
}

TEST("weights: zeros of either sign are transformed") {
  const Graph graph = Builder({3, 8, 8}).convolution(5, 3, 3, 1, 1, false).graph();
  const Plan plan(graph);
  Weights weights(graph, plan), expected(graph, plan);
  std::vector<float> parameters(graph.parameterCount(), -1.0f);
  expected.assign(parameters.data());
  std::fill(parameters.begin(), parameters.end(), 0.0f);
  expected.assign(parameters.data());
  weights.assign(parameters.data());
  CHECK(same(graph, plan, weights, expected, false));
}

}  // namespace
}  // namespace deepzero::test
