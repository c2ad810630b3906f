#include "addon/requests.hpp"

#include <cstring>
#include <string>
#include <type_traits>

#include "addon/convert.hpp"
#include "addon/ranks/ranks.hpp"
#include "network/reference/reference.hpp"
#include "support/aligned.hpp"

namespace deepzero {

namespace {

// Every element must be in [0, bound).
template <typename T>
void checkIndices(Napi::Env env, const char* key, const std::vector<T>& values, std::size_t bound) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] >= T{0} && static_cast<std::size_t>(values[i]) < bound) continue;
    throw expected(env, std::string(key) + "[" + std::to_string(i) + "]",
                   ">= 0 and < " + std::to_string(bound) + ", received " + std::to_string(values[i]));
  }
}

Reuse toReuse(Napi::Object from) {
  return toChoice<Reuse>(
      from, "reuse",
      {{"none", Reuse::None}, {"block", Reuse::Block}, {"layer", Reuse::Layer}, {"incremental", Reuse::Incremental}});
}

std::uint64_t toMark(Napi::Object from) {
  return static_cast<std::uint64_t>(toInteger(from.Get("mark"), "mark", 1, kMaxSafeInteger));
}

// What JavaScript holds while a part of an estimate is computed: for the whole estimate the arrays, and the outputs of
// two parts, of the one before, whose losses it computes, and of this one, as soon as they are there.
std::size_t heldBytes(const Request& request, const Graph& graph, std::size_t queries, bool central) {
  const std::size_t outputs = checkedTimes(request.count * graph.output().size(), queries * (central ? 2 : 1));
  return request.arrayBytes + checkedTimes(outputs, 2 * sizeof(double));
}

}  // namespace

std::vector<std::uint32_t> toCoordinates(Napi::Object from, const Graph& graph) {
  std::vector<std::uint32_t> result = copied(toTypedArrayOf<std::uint32_t>(from, "coordinates"));
  checkIndices(from.Env(), "coordinates", result, graph.parameterCount());
  return result;
}

RandomizedOptions toRandomizedOptions(Napi::Object from) {
  RandomizedOptions options;
  options.mu = toFinite(from, "mu");
  options.central = toBoolean(from, "central");
  options.reuse = toReuse(from);
  options.queries = static_cast<std::size_t>(toInt(from, "queries", 1));
  options.distribution = toChoice<Distribution>(from, "distribution",
                                                {{"gaussian", Distribution::Gaussian},
                                                 {"sphere", Distribution::Sphere},
                                                 {"rademacher", Distribution::Rademacher}});
  options.perTensor = toBoolean(from, "perTensor");
  options.seed = static_cast<std::uint64_t>(toInteger(from.Get("seed"), "seed", 0, kMaxSafeInteger));
  options.stream = static_cast<std::uint32_t>(toInteger(from.Get("stream"), "stream", 0, UINT32_MAX));
  options.index = static_cast<std::uint32_t>(toInteger(from.Get("index"), "index", 0, UINT32_MAX));
  return options;
}

Request::Request(Napi::Object from, const Graph& graph, Arrays arrays) {
  const std::size_t outputs = graph.output().size();
  count = toInt(from, "count", 1);
  threads = toThreads(from);
  training = toBoolean(from, "training");
  loss = toChoice<Loss>(from, "loss",
                        {{"cross-entropy", Loss::CrossEntropy},
                         {"mean-squared-error", Loss::MeanSquaredError},
                         {"mean-absolute-error", Loss::MeanAbsoluteError},
                         {"none", Loss::None}});
  const auto read = [&](auto& to, const char* key, std::size_t length) {
    using T = typename std::decay_t<decltype(to)>::value_type;
    const auto array = toTypedArrayOf<T>(from, key);
    if (arrays == Arrays::Copied) to = copied(array);
    const std::size_t received = arrays == Arrays::Copied ? to.size() : array.ElementLength();
    if (received != length) {
      throw expected(from.Env(), key, std::to_string(length) + " long, received " + std::to_string(received));
    }
    arrayBytes += length * sizeof(T);
  };
  const auto images_ = static_cast<std::size_t>(count);
  read(parameters, "parameters", graph.parameterCount());
  read(statistics, "statistics", graph.statisticsCount());
  read(images, "images", images_ * graph.shapes()[0].size());
  if (loss == Loss::CrossEntropy) {
    if (outputs != static_cast<std::size_t>(graph.output().channels)) {
      throw expected(from.Env(), "the network's output", "1×1 for the cross-entropy");
    }
    read(labels, "labels", images_);
    checkIndices(from.Env(), "labels", labels, outputs);
  } else if (loss != Loss::None) {
    read(targets, "targets", images_ * outputs);
  }
}

Problem Request::problem() const {
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

Evaluation EvaluateRequest::run(Engine& engine, const Control& control) const {
  return engine.evaluate(problem(), control);
}

std::size_t EvaluateRequest::footprint(const Engine& engine, int onThreads) const {
  return engine.footprint(QueryKind::None, count, onThreads);
}

GradientRequest::GradientRequest(Napi::Object from, const Graph& graph, Arrays arrays) : Request(from, graph, arrays) {
  precision = toChoice<Precision>(from, "precision", {{"single", Precision::Single}, {"double", Precision::Double}});
}

Gradient GradientRequest::run(Engine& engine, const Control& control) const {
  return engine.gradient(problem(), control, precision);
}

std::size_t GradientRequest::footprint(const Engine& engine, int onThreads) const {
  return engine.footprint(Engine::kindOf(precision), count, onThreads);
}

CoordinatesRequest::CoordinatesRequest(Napi::Object from, const Graph& graph, Arrays arrays)
    : Request(from, graph, arrays) {
  if (arrays == Arrays::Copied) {
    coordinates = toCoordinates(from, graph);
    coordinateCount = coordinates.size();
  } else {
    coordinateCount = toTypedArrayOf<std::uint32_t>(from, "coordinates").ElementLength();
  }
  arrayBytes += coordinateCount * sizeof(std::uint32_t);
  mu = toFinite(from, "mu");
  central = toBoolean(from, "central");
}

CoordinatewiseRequest::CoordinatewiseRequest(Napi::Object from, const Graph& graph, Arrays arrays)
    : CoordinatesRequest(from, graph, arrays) {
  reuse = toReuse(from);
}

CoordinatewiseOptions CoordinatewiseRequest::options() const {
  CoordinatewiseOptions options;
  options.mu = mu;
  options.central = central;
  options.reuse = reuse;
  options.coordinates = coordinates.data();
  options.count = coordinateCount;
  return options;
}

Estimate CoordinatewiseRequest::run(Engine& engine, const Control& control) const {
  Leader* const ranks = leader();
  return ranks ? ranks->coordinatewise(engine, problem(), options(), control)
               : coordinatewise(engine, problem(), options(), control);
}

std::size_t CoordinatewiseRequest::footprint(const Engine& engine, int onThreads) const {
  return deepzero::footprint(engine, count, options(), onThreads);
}

RandomizedRequest::RandomizedRequest(Napi::Object from, const Graph& graph, Arrays arrays)
    : Request(from, graph, arrays), options(toRandomizedOptions(from)) {}

Estimate RandomizedRequest::run(Engine& engine, const Control& control) const {
  Leader* const ranks = leader();
  return ranks ? ranks->randomized(engine, problem(), options, control)
               : randomized(engine, problem(), options, control);
}

std::size_t RandomizedRequest::footprint(const Engine& engine, int onThreads) const {
  return deepzero::footprint(engine, count, options, onThreads);
}

ReferenceResult ReferenceRequest::run(Engine& engine, const Control& control) const {
  ReferenceResult result;
  result.values = referenceCoordinatewise(engine.graph(), problem(), coordinates.data(), coordinates.size(), mu,
                                          central, control, &result.loss);
  return result;
}

std::size_t ReferenceRequest::footprint(const Engine& engine, int) const {
  return referenceBytes(engine.graph(), count, coordinateCount);
}

CoordinateOutputsRequest::CoordinateOutputsRequest(Napi::Object from, const Graph& graph, Arrays arrays)
    : CoordinatewiseRequest(from, graph, arrays), mark(toMark(from)) {}

PerturbedOutputs CoordinateOutputsRequest::run(Engine& engine, const Control& control) const {
  Leader* const ranks = leader();
  return ranks ? ranks->coordinatewiseOutputs(engine, problem(), options(), mark, control)
               : coordinatewiseOutputs(engine, problem(), options(), mark, control);
}

std::size_t CoordinateOutputsRequest::footprint(const Engine& engine, int onThreads) const {
  return outputsFootprint(engine, count, options(), onThreads) +
         heldBytes(*this, engine.graph(), coordinateCount, central);
}

DirectionOutputsRequest::DirectionOutputsRequest(Napi::Object from, const Graph& graph, Arrays arrays)
    : RandomizedRequest(from, graph, arrays), mark(toMark(from)) {
  const auto queries = static_cast<std::int64_t>(options.queries);
  range.first = static_cast<std::size_t>(toInteger(from.Get("first"), "first", 0, queries - 1));
  const std::int64_t most = queries - static_cast<std::int64_t>(range.first);
  range.count = static_cast<std::size_t>(toInteger(from.Get("directions"), "directions", 1, most));
}

PerturbedOutputs DirectionOutputsRequest::run(Engine& engine, const Control& control) const {
  Leader* const ranks = leader();
  return ranks ? ranks->randomizedOutputs(engine, problem(), options, range, mark, control)
               : randomizedOutputs(engine, problem(), options, range, mark, control);
}

std::size_t DirectionOutputsRequest::footprint(const Engine& engine, int onThreads) const {
  return outputsFootprint(engine, count, options, range, onThreads) +
         heldBytes(*this, engine.graph(), range.count, options.central);
}

PerturbedOutputs ReferenceOutputsRequest::run(Engine& engine, const Control& control) const {
  const std::size_t size = count * engine.graph().output().size(), queries = coordinates.size();
  PerturbedOutputs result;
  result.unperturbed.resize(size);
  result.perturbed.resize(queries * (central ? 2 : 1) * size);
  result.distances.assign(queries, central ? 2 * mu : mu);
  referenceOutputs(engine.graph(), problem(), coordinates.data(), queries, mu, central, control,
                   result.unperturbed.data(), result.perturbed.data());
  return result;
}

std::size_t ReferenceOutputsRequest::footprint(const Engine& engine, int) const {
  const std::size_t size = count * engine.graph().output().size();
  const std::size_t numbers = checkedTimes(size, 1 + coordinateCount * (central ? 2 : 1)) + coordinateCount;
  return referenceBytes(engine.graph(), count, 0) + checkedTimes(numbers, sizeof(double)) +
         heldBytes(*this, engine.graph(), coordinateCount, central);
}

CombineRequest::CombineRequest(Napi::Object from, const Graph&, Arrays arrays)
    : options(toRandomizedOptions(from)), threads(toThreads(from)) {
  const auto array = toTypedArrayOf<double>(from, "slopes");
  if (arrays == Arrays::Copied) slopes = copied(array);
  const std::size_t received = arrays == Arrays::Copied ? slopes.size() : array.ElementLength();
  if (received != options.queries) {
    throw expected(from.Env(), "slopes",
                   std::to_string(options.queries) + " long, received " + std::to_string(received));
  }
  arrayBytes = options.queries * sizeof(double);
}

std::vector<double> CombineRequest::run(Engine& engine, const Control& control) const {
  return combineDirections(engine.graph(), options, slopes.data(), control);
}

std::size_t CombineRequest::footprint(const Engine& engine, int onThreads) const {
  return combineFootprint(engine.graph(), options, onThreads);
}

CostRequest::CostRequest(Napi::Object from, const Graph& graph) : coordinates(toCoordinates(from, graph)) {}

Cost CostRequest::run(Engine& engine, const Control& control) const {
  Cost cost;
  QueryWork work(engine);
  for (const std::uint32_t coordinate : coordinates) {
    if (control.stop()) throw Cancelled();
    for (std::size_t reuse = 0; reuse < cost.size(); ++reuse) {
      cost[reuse] += work.of(coordinate, static_cast<Reuse>(reuse));
    }
  }
  return cost;
}

}  // namespace deepzero
