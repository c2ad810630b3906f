#include "ranks/commands/networks.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include "ranks/commands/shares.hpp"
#include "support/digest.hpp"

namespace deepzero {

namespace {

// Parameters are summed in pages of so many, a multiple of four.
constexpr std::size_t kPage = 4096;

// What travels of a problem beside its arrays.
struct ProblemHead {
  std::int64_t count = 0, loss = 0, training = 0;
};

std::uint64_t digestOf(const Evaluation& evaluation) {
  Digest digest;
  digest.add(&evaluation.loss, 1);
  digest.add(evaluation.outputs.data(), evaluation.outputs.size());
  digest.add(evaluation.statistics.data(), evaluation.statistics.size());
  return digest.value();
}

}  // namespace

void put(MessageWriter& message, const Graph& graph) {
  message.put(graph.shapes()[0]);
  message.put(static_cast<std::uint64_t>(graph.operations().size()));
  message.put(graph.operations().data(), graph.operations().size());
}

Graph takeGraph(MessageReader& message) {
  const auto input = message.take<Shape>();
  const auto count = message.take<std::uint64_t>();
  const Operation* const operations = message.takeArray<Operation>(count);
  return Graph(input, std::vector<Operation>(operations, operations + count));
}

void put(MessageWriter& message, const Graph& graph, const Problem& problem) {
  message.put(ProblemHead{problem.count, static_cast<std::int64_t>(problem.loss), problem.training});
  message.put(problem.parameters, graph.parameterCount());
  message.put(problem.statistics, graph.statisticsCount());
  message.put(problem.images, problem.count * graph.shapes()[0].size());
  if (problem.loss == Loss::CrossEntropy) {
    message.put(problem.labels, problem.count);
  } else if (problem.loss != Loss::None) {
    message.put(problem.targets, problem.count * graph.output().size());
  }
}

Problem takeProblem(MessageReader& message, const Graph& graph) {
  const auto head = message.take<ProblemHead>();
  Problem problem;
  problem.count = static_cast<int>(head.count);
  problem.loss = static_cast<Loss>(head.loss);
  problem.training = head.training != 0;
  problem.parameters = message.takeArray<float>(graph.parameterCount());
  problem.statistics = message.takeArray<float>(graph.statisticsCount());
  problem.images = message.takeArray<float>(problem.count * graph.shapes()[0].size());
  if (problem.loss == Loss::CrossEntropy) {
    problem.labels = message.takeArray<std::int32_t>(problem.count);
  } else if (problem.loss != Loss::None) {
    problem.targets = message.takeArray<float>(problem.count * graph.output().size());
  }
  return problem;
}

void put(MessageWriter& message, const CoordinatewiseOptions& options) {
  message.put(options);
  message.put(options.coordinates, options.count);
}

CoordinatewiseOptions takeCoordinatewise(MessageReader& message) {
  auto options = message.take<CoordinatewiseOptions>();
  options.coordinates = message.takeArray<std::uint32_t>(options.count);
  return options;
}

void put(MessageWriter& message, const RandomizedOptions& options) { message.put(options); }

RandomizedOptions takeRandomized(MessageReader& message) { return message.take<RandomizedOptions>(); }

EstimatePart computeCoordinates(Engine& engine, const Problem& problem, const CoordinatewiseOptions& options,
                                const std::vector<std::size_t>& places, const Control& control) {
  return attempt<EstimatePart>([&](EstimatePart& part) {
    std::vector<std::uint32_t> own(places.size());
    std::transform(places.begin(), places.end(), own.begin(), [&](std::size_t i) { return options.coordinates[i]; });
    CoordinatewiseOptions share = options;
    share.coordinates = own.data();
    share.count = own.size();
    Estimate estimate = coordinatewise(engine, problem, share, control);
    part.outcome.digest = digestOf(estimate);
    part.numbers = std::move(estimate.values);
    part.unperturbed = std::move(estimate);
  });
}

EstimatePart computeDirections(Engine& engine, const Problem& problem, const RandomizedOptions& options, Range range,
                               const Control& control) {
  return attempt<EstimatePart>([&](EstimatePart& part) {
    DirectionSlopes along = directionSlopes(engine, problem, options, range, control);
    part.outcome.digest = digestOf(along);
    part.numbers = std::move(along.slopes);
    part.numbers.insert(part.numbers.end(), along.factors.begin(), along.factors.end());
    part.unperturbed = std::move(along);
  });
}

namespace {

OutputsPart outputsPart(const std::function<PerturbedOutputs()>& compute) {
  return attempt<OutputsPart>([&](OutputsPart& part) {
    part.outputs = compute();
    if (part.outputs.base) part.outcome.digest = digestOf(*part.outputs.base);
    part.numbers = std::move(part.outputs.perturbed);
    part.numbers.insert(part.numbers.end(), part.outputs.distances.begin(), part.outputs.distances.end());
  });
}

}  // namespace

OutputsPart computeOutputs(Engine& engine, const Problem& problem, const CoordinatewiseOptions& options, Range range,
                           std::uint64_t mark, const Control& control) {
  return outputsPart([&] {
    CoordinatewiseOptions share = options;
    share.coordinates += range.first;
    share.count = range.count;
    return coordinatewiseOutputs(engine, problem, share, mark, control);
  });
}

OutputsPart computeOutputs(Engine& engine, const Problem& problem, const RandomizedOptions& options, Range range,
                           std::uint64_t mark, const Control& control) {
  return outputsPart([&] { return randomizedOutputs(engine, problem, options, range, mark, control); });
}

Part computeSum(const Graph& graph, const RandomizedOptions& options, const double* slopes, const double* factors,
                Range parameters, const Control& control) {
  return attempt<Part>(
      [&](Part& part) { part.numbers = combineDirections(graph, options, slopes, factors, parameters, control); });
}

Range parametersOf(const Graph& graph, int rank, int ranks) {
  const std::size_t count = graph.parameterCount();
  const Range pages = rangeOf((count + kPage - 1) / kPage, rank, ranks);
  const std::size_t first = std::min(count, pages.first * kPage);
  return {first, std::min(count, (pages.first + pages.count) * kPage) - first};
}

}  // namespace deepzero
