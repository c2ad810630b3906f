// The fast forward pass against the float64 reference, on small and random networks.
#include "runtime/engine.hpp"

#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "harness.hpp"
#include "network/reference/reference.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

// Says so if an evaluation is further from the reference than float32 explains: a few roundings of 6e-8 per layer,
// magnified where a batch norm divides by a small deviation.
std::string checkEvaluation(const Kernels& table, const Example& example) {
  const double tolerance = 1e-5;
  Engine engine(example.graph, table);
  const Evaluation fast = engine.evaluate(example.problem(), threads(1));
  const ReferenceEvaluation slow =
      referenceEvaluate(example.graph, example.problem(), example.parametersInDouble(), threads(1));
  const double outputs = largestError(inDouble(fast.outputs), slow.values.back());
  const double statistics = largestError(inDouble(fast.statistics), slow.statistics);
  const double loss = largestError({fast.loss}, {slow.loss});
  if (outputs <= tolerance && statistics <= tolerance && loss <= tolerance) return "";
  return text(table.isa, ", ", example.count, " images, training ", example.training, ", loss ",
              static_cast<int>(example.loss), ": errors ", outputs, " of outputs, ", statistics, " of statistics, ",
              loss, " of the loss");
}

ISA_TEST("engine: forward equals the reference, for whole and partial blocks") {
  for (const int count : {1, 15, 16, 17, 40}) {
    for (const bool training : {true, false}) {
      for (const Graph& graph : {smallResNet(), smallCnn(), averagePools(), nonlinearities()}) {
        for (const Loss loss : {Loss::CrossEntropy, Loss::MeanSquaredError, Loss::MeanAbsoluteError}) {
          Example example(graph, count);
          example.training = training;
          example.loss = loss;
          CHECK_PASSES(checkEvaluation(kernels(), example));
        }
      }
    }
  }
}

ISA_TEST("engine: forward equals the reference on random networks") {
  for (int seed = 0; seed < 200; ++seed) {
    const int counts[] = {1, 15, 16, 17, 40};
    Example example(randomNetwork(seed), counts[seed % 5], seed);
    example.training = seed % 3 != 0;
    example.loss = static_cast<Loss>(seed / 2 % 3);
    const std::string failure = checkEvaluation(kernels(), example);
    if (!failure.empty()) CHECK_PASSES(text("seed ", seed, ": ", failure));
  }
}

ISA_TEST("engine: shapes of graphs that a sequence of layers does not have") {
  std::vector<Graph> graphs;
  // One value read by convolutions of different padding, the wider first; a sum of a value with itself.
  Builder network({3, 6, 6});
  network.batchNorm();
  const int shared = network.value;
  network.convolution(3, 5, 5, 1, 2, false);
  const int wide = network.value;
  network.value = shared;
  network.convolution(3, 1, 1, 1, 0, true).relu().add(wide);
  const int sum = network.value;
  network.add(sum).batchNorm();
  graphs.push_back(network.globalAveragePool().linear(2, true).graph());
  // The output is not a linear layer's, and one value has no reader.
  network = Builder({2, 4, 4});
  network.convolution(3, 3, 3, 1, 1, true);
  network.value = 0;
  graphs.push_back(network.convolution(2, 3, 3, 1, 1, true).batchNorm().relu().graph());
  // A ReLU that is not alone in reading a batch norm, as its first reader, or a sum, as its last; two batch norms of
  // one value.
  network = Builder({2, 5, 5});
  network.convolution(4, 3, 3, 1, 1, false);
  const int convolved = network.value;
  network.batchNorm();
  const int normalised = network.value;
  network.relu();
  const int positive = network.value;
  network.value = convolved;
  network.batchNorm().add(normalised).add(positive);
  const int read = network.value;
  network.convolution(4, 1, 1, 1, 0, false);
  const int again = network.value;
  network.value = read;
  graphs.push_back(network.relu().add(again).flatten().linear(3, false).graph());
  // Equal layers in a row, whose values could take each other's buffers.
  network = Builder({3, 5, 5});
  for (int i = 0; i < 4; ++i) network.convolution(3, 3, 3, 1, 1, true);
  for (int i = 0; i < 3; ++i) network.maxPool(1, 1);
  network.globalAveragePool();
  for (int i = 0; i < 4; ++i) network.linear(3, true);
  graphs.push_back(network.graph());
  // Without parameters.
  graphs.push_back(Builder({3, 4, 4}).maxPool(2, 2).globalAveragePool().graph());
  graphs.push_back(Builder({3, 1, 1}).flatten().graph());
  for (const Graph& graph : graphs) {
    for (const int count : {3, 33}) {
      for (const bool training : {true, false}) {
        Example example(graph, count);
        example.loss = Loss::MeanSquaredError;
        example.training = training;
        CHECK_PASSES(checkEvaluation(kernels(), example));
      }
    }
  }
}

ISA_TEST("engine: batch norm of values far from zero loses no digits") {
  Example example(Builder({3, 4, 4}).batchNorm().graph(), 20);
  for (float& pixel : example.images) pixel += 1000;
  example.loss = Loss::MeanSquaredError;
  CHECK_PASSES(checkEvaluation(kernels(), example));
}

ISA_TEST("engine: a wrong kernel in the table is caught") {
  Kernels wrong = kernels();
  wrong.averagePool = [](const ConvolutionShape& shape, const float* plane, float* out) {
    kernels().averagePool(shape, plane, out);
    out[shape.out.at(0, 0, 0) + 3] *= 1.001f;
  };
  CHECK(checkEvaluation(kernels(), Example(smallResNet(), 17)).empty());
  CHECK(!checkEvaluation(wrong, Example(smallResNet(), 17)).empty());
}

ISA_TEST("engine: a pass restarted at any cut point equals the whole, bit for bit") {
  for (int seed = 0; seed < 50; ++seed) {
    Example example(randomNetwork(seed), 1 + seed, seed);
    example.training = seed % 3 != 0;
    Engine engine(example.graph, kernels());
    const double whole = engine.evaluate(example.problem(), threads(1)).loss;
    CHECK(sameBits(engine.begin(example.problem(), threads(2), QueryKind::Values).loss, whole));
    const int segments = static_cast<int>(engine.plan().segments().size());
    for (int from = segments - 1; from >= 1; --from) {
      CHECK(sameBits(engine.lossFrom(from % 2, from, example.problem(), threads(1)), whole));
    }
  }
}

ISA_TEST("engine: a query sees its own thread's perturbation only, and none after it is taken back") {
  const Example example(smallResNet(), 17);
  Engine engine(example.graph, kernels());
  const double whole = engine.begin(example.problem(), threads(2), QueryKind::Values).loss;
  for (std::size_t i = 0; i < example.graph.parameterCount(); i += 7) {
    Example moved = example;
    moved.parameters[i] += 0.5f;
    Engine other(moved.graph, kernels());
    engine.weights(0).set(i, moved.parameters[i]);
    const int segment = engine.plan().segmentOf(example.graph.parameters()[example.graph.parameterAt(i)].operation);
    const double perturbed = engine.lossFrom(0, segment, example.problem(), threads(1));
    CHECK(sameBits(perturbed, other.evaluate(moved.problem(), threads(1)).loss));
    CHECK(sameBits(engine.lossFrom(1, segment, example.problem(), threads(1)), whole));
    engine.weights(0).set(i, example.parameters[i]);
    CHECK(sameBits(engine.lossFrom(0, segment, example.problem(), threads(1)), whole));
  }
}

ISA_TEST("engine: same bits for every number of threads") {
  const Example example(smallResNet(), 70);
  Engine engine(example.graph, kernels());
  const Evaluation one = engine.evaluate(example.problem(), threads(1));
  for (const int count : {2, 3, 8}) {
    const Evaluation more = engine.evaluate(example.problem(), threads(count));
    CHECK(sameBits(more.loss, one.loss));
    CHECK(sameBits(more.outputs, one.outputs));
    CHECK(sameBits(more.statistics, one.statistics));
  }
}

ISA_TEST("engine: one engine serves batches of any size, in any order, also after release") {
  const Graph graph = smallCnn();
  Engine engine(graph, kernels());
  for (const int count : {40, 1, 17, 16, 40}) {
    const Example example(graph, count);
    Engine fresh(graph, kernels());
    const Evaluation expected = fresh.evaluate(example.problem(), threads(1));
    CHECK(sameBits(engine.evaluate(example.problem(), threads(2)).outputs, expected.outputs));
    engine.release();
    CHECK(sameBits(engine.begin(example.problem(), threads(2), QueryKind::Values).outputs, expected.outputs));
    CHECK(sameBits(engine.evaluate(example.problem(), threads(2)).outputs, expected.outputs));
  }
}

ISA_TEST("engine: queries of changes leave no trace in the next unperturbed pass, which has their memory") {
  for (int seed = 0; seed < 20; ++seed) {
    const Example example(randomNetwork(seed), 20, seed);
    Engine engine(example.graph, kernels());
    const std::vector<float> steps(example.graph.parameterCount(), 1e-2f);
    const Evaluation first = engine.begin(example.problem(), threads(2), QueryKind::AllChange);
    for (int thread = 0; thread < 2; ++thread) {
      engine.lossChange(thread, steps.data(), example.problem(), {});
      for (std::size_t i = 0; i < steps.size(); i += 5) engine.lossChange(thread, i, 1e-2f, example.problem(), {});
    }
    const Evaluation second = engine.begin(example.problem(), threads(2), QueryKind::AllChange);
    CHECK(sameBits(second.loss, first.loss));
    CHECK(sameBits(second.outputs, first.outputs));
    CHECK(sameBits(second.statistics, first.statistics));
  }
}

ISA_TEST("engine: a loss that is not finite is refused, and leaves no trace") {
  Example example(smallResNet(), 20);
  Engine engine(example.graph, kernels());
  const Evaluation before = engine.evaluate(example.problem(), threads(2));
  const std::vector<float> images = example.images;
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    example.images[100] = bad;
    try {
      engine.evaluate(example.problem(), threads(2));
      CHECK(!"thrown");
    } catch (const NonFinite& error) {
      CHECK(error.coordinate == -1);
    }
    example.images = images;
    CHECK(sameBits(engine.evaluate(example.problem(), threads(2)).outputs, before.outputs));
  }
}

ISA_TEST("engine: stops when cancelled, and goes on afterwards") {
  const Example example(smallResNet(), 20);
  Engine engine(example.graph, kernels());
  std::atomic<bool> cancelled{true};
  Control control = threads(2);
  control.cancelled = &cancelled;
  CHECK_THROWS(Cancelled, engine.evaluate(example.problem(), control));
  CHECK_THROWS(Cancelled, engine.begin(example.problem(), control, QueryKind::Values));
  cancelled = false;
  Engine fresh(example.graph, kernels());
  CHECK(sameBits(engine.evaluate(example.problem(), control).outputs,
                 fresh.evaluate(example.problem(), control).outputs));
}

}  // namespace
}  // namespace deepzero::test
