// What a plan says of how operations are run, by hand and against the kernels that are really called.
#include "network/plan/plan.hpp"

#include <set>
#include <string>
#include <vector>

#include "harness.hpp"
#include "networks.hpp"
#include "runtime/engine.hpp"

namespace deepzero::test {
namespace {

std::vector<int> stepsOf(const Graph& graph) {
  const Plan plan(graph);
  std::vector<int> result;
  for (std::size_t i = 0; i < graph.operations().size(); ++i) result.push_back(plan.stepOf(static_cast<int>(i)));
  return result;
}

TEST("plan: batch norm, sum, nonlinearity and max pool that follow each other are one step") {
  // Convolution, batch norm, ReLU, max pool; again; average, linear.
  CHECK((stepsOf(smallCnn()) == std::vector<int>{0, 1, 1, 1, 2, 3, 3, 3, 4, 5}));
  // The sum is fused with the batch norm before it, although the shortcut stands between them.
  Builder network({2, 4, 4});
  network.relu();
  const int before = network.value;
  network.convolution(4, 3, 3, 1, 1, false).batchNorm();
  const int body = network.value;
  network.value = before;
  network.optionA(4, 1).add(body).relu();
  CHECK((stepsOf(network.flatten().graph()) == std::vector<int>{0, 1, 3, 2, 3, 3, 4}));
  // Two readers of a ReLU, and a ReLU after a ReLU, are not.
  network = Builder({2, 4, 4});
  network.relu().relu();
  network.add(1).batchNorm();
  CHECK((stepsOf(network.graph()) == std::vector<int>{0, 1, 2, 3}));
  // So are leaky ReLU and tanh; a pool comes after them.
  network = Builder({2, 6, 6});
  network.batchNorm().leakyRelu(0.1).maxPool(2, 1).tanh().maxPool(2, 1).relu().tanh();
  CHECK((stepsOf(network.graph()) == std::vector<int>{0, 0, 0, 1, 1, 2, 3}));
}

TEST("plan: every operation belongs to the step that computes its value, or a value fused from it") {
  for (int seed = 0; seed < 200; ++seed) {
    const Graph graph = randomNetwork(seed);
    const Plan plan(graph);
    std::set<int> used;
    for (int i = 0; i < static_cast<int>(graph.operations().size()); ++i) {
      const int s = plan.stepOf(i);
      used.insert(s);
      const Step& step = plan.steps().at(s);
      CHECK(i < step.output);
      if (step.kind != StepKind::Activate) CHECK(step.operation == i);
      if (graph.weightOf(i) >= 0) CHECK(step.operation == i);
    }
    CHECK(used.size() == plan.steps().size());
  }
}

TEST("plan: the segments inside a residual block belong to the one that it starts with, others to themselves") {
  Builder network({3, 8, 8});
  network.convolution(4, 3, 3, 1, 1, false).batchNorm().relu();
  const int before = network.value;
  network.convolution(4, 3, 3, 1, 1, false).batchNorm().relu().convolution(4, 3, 3, 1, 1, false).batchNorm();
  const Plan plan(network.add(before).relu().globalAveragePool().flatten().linear(5, true).graph());
  const auto blockOf = [&](int operation) { return plan.blockOf(plan.segmentOf(operation)); };
  // Convolution, batch norm, ReLU; in the block convolution, batch norm, ReLU, convolution, batch norm; sum, ReLU,
  // average, flatten, linear.
  const int begin = plan.segmentOf(3);
  CHECK(blockOf(0) == plan.segmentOf(0) && begin > plan.segmentOf(0));
  CHECK(blockOf(3) == begin && blockOf(4) == begin && blockOf(6) == begin && blockOf(7) == begin);
  CHECK(plan.segmentOf(6) > begin && plan.segmentOf(7) > plan.segmentOf(6));
  CHECK(blockOf(12) == plan.segmentOf(12) && plan.segmentOf(12) > begin);
  // Without a shortcut every segment is a block of its own.
  const Plan chain(smallCnn());
  for (int s = 0; s < static_cast<int>(chain.segments().size()); ++s) CHECK(chain.blockOf(s) == s);
}

TEST("plan: however many residual blocks follow each other, their values take two buffers in turn") {
  for (const int blocks : {1, 2, 5}) {
    Builder network({16, 8, 8});
    network.convolution(16, 3, 3, 1, 1, false).batchNorm().relu();
    for (int block = 0; block < blocks; ++block) {
      const int before = network.value;
      network.convolution(16, 3, 3, 1, 1, false).batchNorm().relu().convolution(16, 3, 3, 1, 1, false).batchNorm();
      network.add(before).relu();
    }
    const Plan plan(network.globalAveragePool().graph());
    const Map &without = plan.map(1), &bordered = plan.map(3);
    CHECK(bordered.border == 1 && without.border == 0);
    CHECK(plan.scratch().size() <= without.size() + 2 * bordered.size());
    CHECK(plan.cache().size() >= (2 * blocks + 1) * without.size() + blocks * bordered.size());
  }
}

// Output channels of the convolutions that the recording table's kernels have run.
std::set<int> direct, winograd;

// Says so if whole values, or changes of all channels, are convolved by another kernel than the plan says. Every
// convolution of the graph has its own number of output channels.
std::string checkKernels(const Graph& graph) {
  Kernels table = kernels();
  table.convolution = [](const ConvolutionShape& shape, const float* in, const float* weights, const float* bias,
                         float* out) {
    direct.insert(shape.out.channels);
    kernels().convolution(shape, in, weights, bias, out);
  };
  table.winograd = [](const ConvolutionShape& shape, const float* in, const float* weights, const Epilogue& epilogue,
                      float* scratch, float* out) {
    winograd.insert(shape.out.channels);
    kernels().winograd(shape, in, weights, epilogue, scratch, out);
  };
  const Example example(graph, 3);
  Engine engine(graph, table);
  const std::vector<float> steps(graph.parameterCount(), 1e-3f);
  for (const bool changes : {false, true}) {
    if (changes) engine.begin(example.problem(), {}, QueryKind::AllChange);
    direct.clear();
    winograd.clear();
    if (changes) {
      engine.lossChange(0, steps.data(), example.problem(), {});
    } else {
      engine.evaluate(example.problem(), {});
    }
    for (const Step& step : engine.plan().steps()) {
      if (step.kind != StepKind::Convolve) continue;
      const int channels = engine.plan().map(step.output).channels;
      const std::string kernel = engine.plan().kernelOf(step);
      if (kernel == "winograd 4×4" && winograd.count(channels) == 1 && direct.count(channels) == 0) continue;
      if (kernel == "direct" && winograd.count(channels) == 0 && direct.count(channels) == 1) continue;
      return text(channels, " output channels: ", kernel, ", but winograd ", winograd.count(channels), ", direct ",
                  direct.count(channels));
    }
  }
  return "";
}

TEST("plan: gradients share buffers, and only values that need a gradient have one") {
  Builder network({2, 8, 8});
  for (int i = 0; i < 6; ++i) network.convolution(4, 3, 3, 1, 1, false).batchNorm().relu();
  const Graph graph = network.globalAveragePool().linear(3, true).graph();
  const Plan plan(graph);
  // One for the map that a layer's gradient comes from and one for where it goes to; and those of the pool and the
  // output.
  CHECK(plan.gradients().size() <= 2 * plan.gradientMap(1).size() + 2 * 4 * kLanes);
  CHECK(plan.localGradients().size() == plan.gradientMap(1).size());
  CHECK(!plan.needsGradient(0) && plan.gradients().slotOf[0] < 0);
  for (int value = 1; value < static_cast<int>(graph.shapes().size()); ++value) {
    const bool made = plan.producerOf(value)->output == value;
    CHECK(plan.needsGradient(value) == made);
    const Layout& layout = plan.stored(value) ? plan.gradients() : plan.localGradients();
    CHECK((layout.slotOf[value] >= 0) == made);
  }
}

ISA_TEST("plan: the kernel of a convolution is the one that values and changes of all channels take") {
  Builder network({2, 8, 8});
  network.convolution(3, 3, 3, 1, 1, true).convolution(4, 3, 3, 1, 1, false).batchNorm().relu();
  network.convolution(5, 3, 3, 1, 1, true).convolution(6, 1, 1, 1, 0, false).convolution(7, 3, 3, 2, 1, true);
  network.convolution(8, 3, 3, 1, 1, false).convolution(9, 3, 3, 1, 0, false);
  const Graph graph = network.globalAveragePool().linear(10, true).graph();
  CHECK_PASSES(checkKernels(graph));
  const Plan plan(graph);
  std::vector<std::string> found;
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    found.push_back(plan.kernelOf(plan.steps()[plan.stepOf(static_cast<int>(i))]));
  }
  const std::string fast = "winograd 4×4", slow = "direct", activation = "activation";
  const std::vector<std::string> expected = {fast, fast, activation, activation,     fast, slow,
                                             slow, fast, slow,       "average pool", slow};
  CHECK(found == expected);
}

}  // namespace
}  // namespace deepzero::test
