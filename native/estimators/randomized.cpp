#include <algorithm>
#include <cmath>

#include "estimators/directions.hpp"
#include "estimators/estimators.hpp"
#include "estimators/perturbed_outputs.hpp"
#include "estimators/queries.hpp"

namespace deepzero {

namespace {

// Coordinates that a thread sums at a time: few enough for its cache, enough to be worth a turn.
constexpr std::size_t kChunk = 4096;

// values[i] = 1/q · Σ slope·u[first + i], with factors [query][parameter tensor]. Queries are added in their order,
// whichever thread adds them.
void accumulate(const Graph& graph, const Directions& directions, const double* slopes, const double* factors,
                std::size_t queries, std::size_t first, const Control& control, std::vector<double>& values) {
  const std::size_t chunks = (values.size() + kChunk - 1) / kChunk, tensors = graph.parameters().size();
  Control quiet = control;
  quiet.progress = nullptr;
  runQueries(chunks, quiet, [&](int, std::size_t chunk) {
    const std::size_t start = chunk * kChunk, count = std::min(kChunk, values.size() - start);
    double direction[kChunk];
    for (std::size_t q = 0; q < queries; ++q) {
      if (control.stop()) return false;
      directions.draw(q, first + start, count, direction);
      int parameter = graph.parameterAt(first + start);
      for (std::size_t i = 0; i < count; ++i) {
        const Parameter& tensor = graph.parameters()[parameter];
        if (first + start + i == tensor.offset + tensor.size) ++parameter;
        values[start + i] += slopes[q] * factors[q * tensors + parameter] * direction[i];
      }
    }
    for (std::size_t i = 0; i < count; ++i) values[start + i] *= 1 / static_cast<double>(queries);
    return true;
  });
}

// The buffers of one thread.
struct Buffers {
  explicit Buffers(std::size_t parameters) : direction(parameters), moved(parameters) {}
  std::vector<double> direction;
  std::vector<float> moved;  // the perturbed parameters, or the steps to them
};

std::vector<Buffers> buffersOf(std::size_t parameters, int threads) {
  std::vector<Buffers> result;
  result.reserve(threads);
  for (int thread = 0; thread < threads; ++thread) result.emplace_back(parameters);
  return result;
}

std::size_t buffersFootprint(std::size_t parameters, int threads) {
  return threads * parameters * (sizeof(double) + sizeof(float));
}

QueryKind queryKind(Reuse reuse) { return reuse == Reuse::Incremental ? QueryKind::AllChange : QueryKind::Values; }

OutputQueries outputQueries(const RandomizedOptions& options, Range range, std::uint64_t mark) {
  return {queryKind(options.reuse), options.queries, range.count, options.central ? 2 : 1, mark};
}

// The loss with every parameter moved by `mu` along the direction in a thread's buffers, or its change.
double lossMoved(Engine& engine, int thread, const Problem& problem, Reuse reuse, const double* factors, double mu,
                 Buffers& buffers, const Control& control) {
  const bool incremental = reuse == Reuse::Incremental;
  const std::vector<Parameter>& parameters = engine.graph().parameters();
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const Parameter& tensor = parameters[p];
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
      const double step = mu * factors[p] * buffers.direction[i];
      buffers.moved[i] = static_cast<float>(incremental ? step : problem.parameters[i] + step);
    }
  }
  if (incremental) return engine.lossChange(thread, buffers.moved.data(), problem, control);
  engine.weights(thread).assign(buffers.moved.data());
  return engine.lossFrom(thread, 1, problem, control);
}

}  // namespace

std::size_t footprint(const Engine& engine, int count, const RandomizedOptions& options, int threads) {
  const std::size_t d = engine.graph().parameterCount();
  return slopesFootprint(engine, count, options, {0, options.queries}, threads) + d * sizeof(double);
}

std::size_t slopesFootprint(const Engine& engine, int count, const RandomizedOptions& options, Range range,
                            int threads) {
  const std::size_t d = engine.graph().parameterCount(), tensors = engine.graph().parameters().size();
  return engine.footprint(queryKind(options.reuse), count, threads) + buffersFootprint(d, threads) +
         range.count * (1 + tensors) * sizeof(double);
}

DirectionSlopes directionSlopes(Engine& engine, const Problem& problem, const RandomizedOptions& options, Range range,
                                const Control& control) {
  DirectionSlopes result;
  const bool incremental = options.reuse == Reuse::Incremental;
  const std::size_t d = engine.graph().parameterCount(), tensors = engine.graph().parameters().size();
  result.slopes.resize(range.count);
  result.factors.resize(range.count * tensors);
  const Directions directions(engine.graph(), options);
  std::vector<Buffers> buffers = buffersOf(d, control.threads);
  static_cast<Evaluation&>(result) = engine.begin(problem, control, queryKind(options.reuse), options.queries);

  const std::size_t failed = runQueries(range.count, control, [&](int thread, std::size_t i) {
    std::vector<double>& direction = buffers[thread].direction;
    directions.draw(range.first + i, 0, d, direction.data());
    double* const factors = result.factors.data() + i * tensors;
    directions.factors(direction.data(), factors);
    const auto change = [&](double mu) {
      const double loss = lossMoved(engine, thread, problem, options.reuse, factors, mu, buffers[thread], control);
      return incremental ? loss : loss - result.loss;
    };
    const double plus = change(options.mu), minus = options.central ? change(-options.mu) : 0;
    result.slopes[i] = (plus - minus) / (options.central ? 2 * options.mu : options.mu);
    return std::isfinite(result.slopes[i]);
  });

  if (failed != range.count) throw NonFinite(static_cast<long long>(range.first + failed));
  return result;
}

Estimate randomized(Engine& engine, const Problem& problem, const RandomizedOptions& options, const Control& control) {
  Estimate estimate;
  const Graph& graph = engine.graph();
  estimate.values.assign(graph.parameterCount(), 0.0);
  DirectionSlopes along = directionSlopes(engine, problem, options, {0, options.queries}, control);
  accumulate(graph, Directions(graph, options), along.slopes.data(), along.factors.data(), options.queries, 0, control,
             estimate.values);
  static_cast<Evaluation&>(estimate) = std::move(along);
  estimate.queries = 1 + options.queries * (options.central ? 2 : 1);
  return estimate;
}

PerturbedOutputs randomizedOutputs(Engine& engine, const Problem& problem, const RandomizedOptions& options,
                                   Range range, std::uint64_t mark, const Control& control) {
  const std::size_t d = engine.graph().parameterCount();
  const Directions directions(engine.graph(), options);
  std::vector<Buffers> buffers = buffersOf(d, control.threads);
  std::vector<std::vector<double>> factors(range.count);
  const auto run = [&](int thread, std::size_t i, int side) {
    std::vector<double>& direction = buffers[thread].direction;
    if (side == 0) {
      directions.draw(range.first + i, 0, d, direction.data());
      factors[i] = directions.factors(direction.data());
    }
    return lossMoved(engine, thread, problem, options.reuse, factors[i].data(), side == 0 ? options.mu : -options.mu,
                     buffers[thread], control);
  };
  const auto nameOf = [&](std::size_t i) { return static_cast<long long>(range.first + i); };
  const OutputQueries queries = outputQueries(options, range, mark);
  PerturbedOutputs result = collectOutputs(engine, problem, queries, control, run, nameOf);
  result.distances.assign(range.count, options.central ? 2 * options.mu : options.mu);
  return result;
}

std::size_t outputsFootprint(const Engine& engine, int count, const RandomizedOptions& options, Range range,
                             int threads) {
  const Graph& graph = engine.graph();
  const std::size_t factors = sizeof(std::vector<double>) + graph.parameters().size() * sizeof(double);
  return collectedFootprint(engine, count, outputQueries(options, range, 0), threads) +
         buffersFootprint(graph.parameterCount(), threads) + range.count * factors;
}

std::vector<double> combineDirections(const Graph& graph, const RandomizedOptions& options, const double* slopes,
                                      const double* factors, Range parameters, const Control& control) {
  const std::size_t d = graph.parameterCount(), tensors = graph.parameters().size();
  const Directions directions(graph, options);
  std::vector<double> own(factors == nullptr ? options.queries * tensors : 0);
  if (factors == nullptr) {
    std::vector<std::vector<double>> drawn(control.threads, std::vector<double>(directions.normalised() ? d : 0));
    Control quiet = control;
    quiet.progress = nullptr;
    runQueries(options.queries, quiet, [&](int thread, std::size_t q) {
      if (directions.normalised()) directions.draw(q, 0, d, drawn[thread].data());
      directions.factors(drawn[thread].data(), own.data() + q * tensors);
      return true;
    });
    factors = own.data();
  }
  std::vector<double> result(parameters.count, 0.0);
  accumulate(graph, directions, slopes, factors, options.queries, parameters.first, control, result);
  return result;
}

std::size_t combineFootprint(const Graph& graph, const RandomizedOptions& options, bool withFactors, Range parameters,
                             int threads) {
  const std::size_t d = graph.parameterCount(), tensors = graph.parameters().size();
  const std::size_t drawn = !withFactors && Directions(graph, options).normalised() ? threads * d : 0;
  return (parameters.count + drawn + (withFactors ? 0 : options.queries * tensors)) * sizeof(double);
}

std::vector<double> combineDirections(const Graph& graph, const RandomizedOptions& options, const double* slopes,
                                      const Control& control) {
  return combineDirections(graph, options, slopes, nullptr, {0, graph.parameterCount()}, control);
}

std::size_t combineFootprint(const Graph& graph, const RandomizedOptions& options, int threads) {
  return combineFootprint(graph, options, false, {0, graph.parameterCount()}, threads);
}

}  // namespace deepzero
