// The counting of what computations allocate, against what they do allocate.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <new>
#include <vector>

#include "estimators/estimators.hpp"
#include "harness.hpp"
#include "network/arena.hpp"
#include "network/reference/reference.hpp"
#include "networks.hpp"

namespace {

std::atomic<std::size_t> live{0}, peak{0};

// Every allocation is preceded by its size.
constexpr std::size_t kHeader = 16;

void* counted(void* memory, std::size_t bytes) {
  if (memory == nullptr) return nullptr;
  *static_cast<std::size_t*>(memory) = bytes;
  const std::size_t now = live += bytes;
  for (std::size_t before = peak; before < now && !peak.compare_exchange_weak(before, now);) {
  }
  return static_cast<char*>(memory) + kHeader;
}

}  // namespace

extern "C" {

// The linker has the tests and the core call these (CMakeLists.txt).
void* __real_calloc(std::size_t count, std::size_t size);
void __real_free(void* memory);

void* __wrap_calloc(std::size_t count, std::size_t size) {
  return counted(__real_calloc(count * size + kHeader, 1), count * size);
}

void __wrap_free(void* memory) {
  if (memory == nullptr) return;
  void* start = static_cast<char*>(memory) - kHeader;
  live -= *static_cast<std::size_t*>(start);
  __real_free(start);
}

}  // extern "C"

void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return counted(std::malloc(bytes + kHeader), bytes);
}
void* operator new(std::size_t bytes) {
  void* memory = operator new(bytes, std::nothrow);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { __wrap_free(memory); }
void operator delete(void* memory, std::size_t) noexcept { __wrap_free(memory); }

namespace deepzero::test {
namespace {

struct Task {
  const char* name;
  std::function<void(Engine&, const Example&, const Control&)> run;
  std::function<std::size_t(const Engine&, const Example&, int threads)> footprint;
};

CoordinatewiseOptions coordinatewiseOptions(Reuse reuse, const std::vector<std::uint32_t>& coordinates) {
  CoordinatewiseOptions options;
  options.mu = 1e-3;
  options.reuse = reuse;
  options.coordinates = coordinates.data();
  options.count = coordinates.size();
  return options;
}

RandomizedOptions randomizedOptions(Reuse reuse) {
  RandomizedOptions options;
  options.mu = 1e-3;
  options.reuse = reuse;
  options.queries = 5;
  return options;
}

const std::vector<std::uint32_t> kCoordinates = {0, 3, 5, 7};

Task coordinatewiseTask(const char* name, Reuse reuse) {
  const CoordinatewiseOptions options = coordinatewiseOptions(reuse, kCoordinates);
  return {name,
          [=](Engine& engine, const Example& example, const Control& control) {
            coordinatewise(engine, example.problem(), options, control);
          },
          [=](const Engine& engine, const Example& example, int threads) {
            return footprint(engine, example.count, options, threads);
          }};
}

Task randomizedTask(const char* name, Reuse reuse) {
  const RandomizedOptions options = randomizedOptions(reuse);
  return {name,
          [=](Engine& engine, const Example& example, const Control& control) {
            randomized(engine, example.problem(), options, control);
          },
          [=](const Engine& engine, const Example& example, int threads) {
            return footprint(engine, example.count, options, threads);
          }};
}

Task coordinateOutputsTask(const char* name, Reuse reuse) {
  const CoordinatewiseOptions options = coordinatewiseOptions(reuse, kCoordinates);
  return {name,
          [=](Engine& engine, const Example& example, const Control& control) {
            Problem problem = example.problem();
            problem.loss = Loss::None;
            coordinatewiseOutputs(engine, problem, options, 1, control);
          },
          [=](const Engine& engine, const Example& example, int threads) {
            return outputsFootprint(engine, example.count, options, threads);
          }};
}

Task directionOutputsTask(const char* name, Reuse reuse) {
  const RandomizedOptions options = randomizedOptions(reuse);
  const Range range{1, 3};
  return {name,
          [=](Engine& engine, const Example& example, const Control& control) {
            Problem problem = example.problem();
            problem.loss = Loss::None;
            randomizedOutputs(engine, problem, options, range, 1, control);
          },
          [=](const Engine& engine, const Example& example, int threads) {
            return outputsFootprint(engine, example.count, options, range, threads);
          }};
}

Task combineTask() {
  RandomizedOptions options = randomizedOptions(Reuse::None);
  options.perTensor = true;
  return {"combination of directions",
          [=](Engine& engine, const Example&, const Control& control) {
            const double slopes[] = {1, 2, 3, 4, 5};
            combineDirections(engine.graph(), options, slopes, control);
          },
          [=](const Engine& engine, const Example&, int threads) {
            return combineFootprint(engine.graph(), options, threads);
          }};
}

Task gradientTask(const char* name, Precision precision, QueryKind kind) {
  return {name,
          [=](Engine& engine, const Example& example, const Control& control) {
            engine.gradient(example.problem(), control, precision);
          },
          [=](const Engine& engine, const Example& example, int threads) {
            return engine.footprint(kind, example.count, threads);
          }};
}

std::vector<Task> tasks() {
  return {{"evaluate",
           [](Engine& engine, const Example& example, const Control& control) {
             engine.evaluate(example.problem(), control);
           },
           [](const Engine& engine, const Example& example, int threads) {
             return engine.footprint(QueryKind::None, example.count, threads);
           }},
          coordinatewiseTask("CGE without reuse", Reuse::None),
          coordinatewiseTask("CGE from the layer", Reuse::Layer),
          coordinatewiseTask("incremental CGE", Reuse::Incremental),
          randomizedTask("RGE of values", Reuse::None),
          randomizedTask("incremental RGE", Reuse::Incremental),
          coordinateOutputsTask("outputs from the layer", Reuse::Layer),
          coordinateOutputsTask("outputs of incremental CGE", Reuse::Incremental),
          directionOutputsTask("outputs of RGE of values", Reuse::None),
          directionOutputsTask("outputs of incremental RGE", Reuse::Incremental),
          combineTask(),
          gradientTask("gradient", Precision::Single, QueryKind::Gradient),
          gradientTask("gradient in double", Precision::Double, QueryKind::Float64Gradient),
          {"reference",
           [](Engine& engine, const Example& example, const Control& control) {
             referenceCoordinatewise(engine.graph(), example.problem(), kCoordinates.data(), kCoordinates.size(), 1e-3,
                                     false, control, nullptr);
           },
           [](const Engine& engine, const Example& example, int) {
             return referenceBytes(engine.graph(), example.count, kCoordinates.size());
           }}};
}

struct Bytes {
  std::size_t real = 0, counted = 0;
};

// Of a fresh engine that does the task so often.
Bytes bytesOf(const Task& task, const Graph& graph, int count, int threadCount, int times) {
  const Example example(graph, count);
  Engine engine(graph, kernels());
  const Control control = threads(threadCount);
  const std::size_t footprint = task.footprint(engine, example, threadCount);
  const std::size_t before = live;
  peak = before;
  for (int i = 0; i < times; ++i) task.run(engine, example, control);
  return {peak - before, footprint};
}

// Says so if more is left out than tables and some bytes a channel, anything is counted twice, or the images' part is
// not exact.
std::string checkCount(const Task& task, const Graph& graph, int threadCount) {
  const Bytes few = bytesOf(task, graph, 40, threadCount, 1), many = bytesOf(task, graph, 80, threadCount, 1);
  const Bytes again = bytesOf(task, graph, 80, threadCount, 2);
  std::size_t allowance = 0;
  for (const Shape& shape : graph.shapes()) allowance += 500 * (threadCount + 2) + 16 * shape.channels;
  const std::size_t growth = many.real - few.real, countedGrowth = many.counted - few.counted;
  if (growth != countedGrowth) return text(task.name, ": 40 images take ", growth, " bytes, counted ", countedGrowth);
  if (many.counted <= many.real && again.real <= again.counted + allowance) return "";
  return text(task.name, ", ", threadCount, " threads: ", many.real, " bytes, counted ", many.counted);
}

std::vector<Graph> graphs() {
  std::vector<Graph> result = {smallResNet(), shortResiduals(), smallCnn(), nonlinearities()};
  for (int seed = 0; seed < 10; ++seed) result.push_back(randomNetwork(seed));
  // Weights outnumber everything else.
  Builder wide({32, 4, 4});
  result.push_back(wide.convolution(64, 3, 3, 1, 1, false).batchNorm().relu().flatten().linear(50, true).graph());
  return result;
}

TEST("memory: the count equals the allocations, to the byte for every image") {
  for (const Graph& graph : graphs()) {
    for (const Task& task : tasks()) {
      for (const int threadCount : {1, 3}) CHECK_PASSES(checkCount(task, graph, threadCount));
    }
  }
}

TEST("memory: a count that leaves something out, or counts it twice, is caught") {
  const Graph graph = smallResNet();
  const auto check = [&](std::ptrdiff_t shared, std::ptrdiff_t perThread, std::ptrdiff_t perImage) {
    Task task = coordinatewiseTask("incremental CGE", Reuse::Incremental);
    task.footprint = [=, right = task.footprint](const Engine& engine, const Example& example, int threads) {
      return right(engine, example, threads) + shared + perThread * threads + perImage * example.count;
    };
    return checkCount(task, graph, 2);
  };
  CHECK(check(0, 0, 0).empty());
  CHECK(!check(-(1 << 17), 0, 0).empty());
  CHECK(!check(1 << 15, 0, 0).empty());
  CHECK(!check(0, -(1 << 16), 0).empty());
  CHECK(!check(0, 0, -1).empty());
}

TEST("memory: a size beyond size_t is refused, not truncated") {
  // A padding of 1023 around 2×2, for 2²⁰ channels: 2⁴⁶ floats a block.
  Builder network({1, 2, 2});
  network.convolution(1 << 20, 1, 1, 1, 0, false).convolution(1, 1, 1, 2048, 1023, false);
  const Engine engine(network.flatten().linear(1, false).graph(), kernels());
  for (const int count : {1 << 20, 1 << 22, 0x7fffffff}) {
    CHECK_THROWS(std::bad_alloc, engine.footprint(QueryKind::None, count, 1));
  }
}

TEST("memory: counting allocates nothing for the images, and releasing keeps nothing") {
  const Graph graph = smallCnn();
  Engine engine(graph, kernels());
  const std::size_t before = live;
  peak = before;
  const std::size_t one = engine.footprint(QueryKind::AllChange, 1 << 20, 1);
  const std::size_t three = engine.footprint(QueryKind::AllChange, 1 << 20, 3);
  CHECK(one > std::size_t{2} << 30 && three - one > std::size_t{1} << 30);
  CHECK(peak - before < std::size_t{1} << 16);
  CHECK(live == before);

  const Example example(graph, 40);
  const std::size_t empty = live;
  for (const Task& task : tasks()) task.run(engine, example, threads(2));
  CHECK(live > empty + (std::size_t{1} << 18));
  engine.release();
  CHECK(live < empty + (std::size_t{1} << 10));
}

}  // namespace
}  // namespace deepzero::test
