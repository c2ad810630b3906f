// The counting of what queries cost: by hand, and against the kernels that are really called.
#include "estimators/query_work.hpp"

#include <cmath>
#include <vector>

#include "harness.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

// What the counting table's kernels have done, for an image block.
Work counted;

double numbers(const Map& map) { return static_cast<double>(map.channels) * map.height * map.width; }
double plane(const Map& map) { return static_cast<double>(map.height) * map.width; }

// Counts what is done to values, but for convolutions.
void countElementsOfValues(Kernels& table) {
  table.activate = [](const Activation& shape, const Affine* affine, const float* in, const float* residual,
                      float* out) {
    counted.elements += numbers(shape.in);
    kernels().activate(shape, affine, in, residual, out);
  };
  table.moments = [](const Map& map, const float* in, int lanes, double* mean, double* squares) {
    counted.elements += numbers(map);
    kernels().moments(map, in, lanes, mean, squares);
  };
}

// The current table with each kernel counted. `activate` is not in queries that carry changes: what of the unperturbed
// pass they compute again depends on the query before.
Kernels countingKernels(bool changes) {
  Kernels table = kernels();
  if (!changes) countElementsOfValues(table);
  table.activateChange = [](const Activation& shape, const PlaneChange* planes, int count) {
    counted.elements += count * plane(shape.in);
    kernels().activateChange(shape, planes, count);
  };
  table.changeMoments = [](const Map& map, PlaneMoments* planes, int count, int lanes) {
    counted.elements += count * plane(map);
    kernels().changeMoments(map, planes, count, lanes);
  };
  table.averagePool = [](const ConvolutionShape& shape, const float* in, float* out) {
    counted.elements += plane(shape.in);
    kernels().averagePool(shape, in, out);
  };
  table.convolution = [](const ConvolutionShape& shape, const float* in, const float* weights, const float* bias,
                         float* out) {
    counted += directWork(shape, shape.in.channels);
    kernels().convolution(shape, in, weights, bias, out);
  };
  table.addConvolution = [](const ConvolutionShape& shape, const float* in, const float* weights, const float* bias,
                            float* out) {
    counted += directWork(shape, shape.in.channels);
    kernels().addConvolution(shape, in, weights, bias, out);
  };
  table.partialConvolution = [](const ConvolutionShape& shape, const float* in, const int* channels, int count,
                                const float* weights, float* out) {
    counted += directWork(shape, count);
    kernels().partialConvolution(shape, in, channels, count, weights, out);
  };
  table.winograd = [](const ConvolutionShape& shape, const float* in, const float* weights, const Epilogue& epilogue,
                      float* scratch, float* out) {
    counted += winogradWork(shape);
    if (epilogue.moments != nullptr) counted.elements += numbers(shape.out);
    kernels().winograd(shape, in, weights, epilogue, scratch, out);
  };
  table.convolveMoments = [](const PartialConvolution& from, PlaneMoments* planes, int lanes) {
    counted += directWork(from.shape, from.count);
    counted.elements += numbers(from.shape.out);
    kernels().convolveMoments(from, planes, lanes);
  };
  table.convolveActivate = [](const PartialConvolution& from, const Activation& shape, float* scratch,
                              const PlaneChange* planes) {
    counted += directWork(from.shape, from.count);
    counted.elements += numbers(from.shape.out);
    kernels().convolveActivate(from, shape, scratch, planes);
  };
  return table;
}

// Says so if a coordinate's queries do not do what is counted for them, whatever is reused.
std::string checkCounting(const Example& example, std::size_t stride) {
  Control control;
  const Problem problem = example.problem();
  const int blocks = (example.count + kLanes - 1) / kLanes;
  for (const Reuse reuse : {Reuse::None, Reuse::Block, Reuse::Layer, Reuse::Incremental}) {
    const bool changes = reuse == Reuse::Incremental;
    const Kernels table = countingKernels(changes);
    Engine engine(example.graph, table);
    QueryWork work(engine);
    engine.begin(problem, control, changes ? QueryKind::Changes : QueryKind::Values);
    for (std::size_t coordinate = 0; coordinate < example.parameters.size(); coordinate += stride) {
      counted = {};
      if (changes) {
        engine.lossChange(0, coordinate, 1e-3f, problem, control);
      } else {
        engine.lossFrom(0, cutPoint(engine, coordinate, reuse), problem, control);
      }
      const Work expected = work.of(coordinate, reuse);
      if (counted.done == blocks * expected.done && counted.direct == blocks * expected.direct &&
          counted.elements == blocks * expected.elements) {
        continue;
      }
      return text("coordinate ", coordinate, ", reuse ", static_cast<int>(reuse), ": done ", counted.done / blocks,
                  ", ", counted.direct / blocks, " and ", counted.elements / blocks, ", counted ", expected.done, ", ",
                  expected.direct, " and ", expected.elements);
    }
  }
  return "";
}

TEST("query work: the count equals the work of the kernels") {
  CHECK_PASSES(checkCounting(Example(smallResNet(), 20), 1));
  CHECK_PASSES(checkCounting(Example(smallCnn(), 20), 1));
  CHECK_PASSES(checkCounting(Example(nonlinearities(), 20), 1));
  for (int seed = 0; seed < 100; ++seed) {
    const std::string failure = checkCounting(Example(randomNetwork(seed), 16, seed), 7);
    if (!failure.empty()) CHECK_PASSES(text("seed ", seed, ": ", failure));
  }
}

bool equal(const Work& work, double done, double direct) { return work.done == done && work.direct == direct; }

TEST("query work: by hand") {
  // conv 2→3 on 8×8, batch norm, ReLU, conv 3→4, batch norm, ReLU, average, linear 4→5.
  Builder network({2, 8, 8});
  network.convolution(3, 3, 3, 1, 1, true).batchNorm().relu().convolution(4, 3, 3, 1, 1, false).batchNorm().relu();
  const Engine engine(network.globalAveragePool().linear(5, true).graph(), kernels());
  QueryWork work(engine);
  const double first = 2 * 3 * 9 * 64, second = 3 * 4 * 9 * 64, last = 4 * 5;
  // 54 weights, 3 biases, 3 γ, 3 β; then 108 weights, 4 γ, 4 β; then 20 weights and 5 biases.
  // Whole convolutions of 3×3 take a quarter of the products, by Winograd.
  for (const std::size_t coordinate : {0, 54, 57, 60}) {
    CHECK(equal(work.of(coordinate, Reuse::None), (first + second) / 4 + last, first + second + last));
  }
  CHECK(equal(work.of(0, Reuse::Layer), (first + second) / 4 + last, first + second + last));
  CHECK(equal(work.of(57, Reuse::Layer), second / 4 + last, second + last));
  CHECK(equal(work.of(63, Reuse::Block), second / 4 + last, second + last));
  CHECK(equal(work.of(180, Reuse::Layer), last, last));
  // One plane, and again for each time it is read; where the next convolution's only changed input is one channel, it
  // is computed for its statistics and again where they are applied, and all that follows is dense.
  const double one = 4 * 9 * 64;
  CHECK(equal(work.of(0, Reuse::Incremental), 3 * 64 + 2 * one + last, 3 * 64 + 2 * one + last));
  CHECK(equal(work.of(54, Reuse::Incremental), 3 * 64 + 2 * one + last, 3 * 64 + 2 * one + last));
  CHECK(equal(work.of(57, Reuse::Incremental), 2 * one + last, 2 * one + last));
  CHECK(equal(work.of(63, Reuse::Incremental), 2 * 64 + 5, 2 * 64 + 5));
  CHECK(equal(work.of(171, Reuse::Incremental), 5, 5));
  CHECK(equal(work.of(180, Reuse::Incremental), 1, 1));
  CHECK(equal(work.of(203, Reuse::Incremental), 0, 0));
  // Moments, batch norm with ReLU, on 3 and on 4 channels, and the average.
  CHECK(work.of(0, Reuse::None).elements == (3 + 3 + 4 + 4 + 4) * 64);
  CHECK(work.of(57, Reuse::Layer).elements == (3 + 4 + 4 + 4) * 64);
  CHECK(work.of(0, Reuse::Incremental).elements == (1 + 1 + 4 + 1 + 4 + 4) * 64);
  CHECK(work.of(180, Reuse::Incremental).elements == 0);
  CHECK(work.of(180, Reuse::Layer).cost() == last);
  CHECK(work.of(171, Reuse::Incremental).cost() == 5 + 8 * (1 + 1) * 64);
}

TEST("query work: Winograd's products, and the direct convolution's") {
  Builder network({1, 4, 4});
  network.convolution(2, 3, 3, 1, 1, false).convolution(3, 3, 3, 1, 1, false).convolution(5, 3, 3, 1, 1, false);
  const Engine engine(network.globalAveragePool().linear(1, false).graph(), kernels());
  // The first convolution's change is one plane, the second's starts from one channel, the third is dense: one tile of
  // 36 products, or 16·9, for each of its 3·5 pairs of channels.
  const Work work = QueryWork(engine).of(0, Reuse::Incremental);
  CHECK(work.direct - work.done == 3 * 5 * (16 * 9 - 36));
}

}  // namespace
}  // namespace deepzero::test
