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

struct Slope {
  double value = 0;             // (ℓ(θ + μu) − ℓ(θ))/μ
  std::vector<double> factors;  // of this query's direction, by parameter tensor
};

// values[i] = 1/q · Σ slope·u[i]. Queries are added in their order, whichever thread adds them.
void accumulate(const Graph& graph, const Directions& directions, const std::vector<Slope>& slopes,
                const Control& control, std::vector<double>& values) {
  const std::size_t chunks = (values.size() + kChunk - 1) / kChunk;
  Control quiet = control;
  quiet.progress = nullptr;
  runQueries(chunks, quiet, [&](int, std::size_t chunk) {
    const std::size_t first = chunk * kChunk, count = std::min(kChunk, values.size() - first);
    double direction[kChunk];
    for (std::size_t q = 0; q < slopes.size(); ++q) {
      if (control.stop()) return false;
      directions.draw(q, first, count, direction);
      int parameter = graph.parameterAt(first);
      for (std::size_t i = 0; i < count; ++i) {
        const Parameter& tensor = graph.parameters()[parameter];
        if (first + i == tensor.offset + tensor.size) ++parameter;
        values[first + i] += slopes[q].value * slopes[q].factors[parameter] * direction[i];
      }
    }
    for (std::size_t i = 0; i < count; ++i) values[first + i] *= 1 / static_cast<double>(slopes.size());
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

OutputQueries outputQueries(const RandomizedOptions& options, QueryRange range, std::uint64_t mark) {
  return {queryKind(options.reuse), options.queries, range.count, options.central ? 2 : 1, mark};
}

// The loss with every parameter moved by `mu` along the direction in a thread's buffers, or its change.
double lossMoved(Engine& engine, int thread, const Problem& problem, Reuse reuse, const std::vector<double>& factors,
                 double mu, Buffers& buffers, const Control& control) {
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
  const std::size_t d = engine.graph().parameterCount(), tensors = engine.graph().parameters().size();
  return engine.footprint(queryKind(options.reuse), count, threads) + d * sizeof(double) +
         buffersFootprint(d, threads) + options.queries * (sizeof(Slope) + tensors * sizeof(double));
}

Estimate randomized(Engine& engine, const Problem& problem, const RandomizedOptions& options, const Control& control) {
  Estimate estimate;
  const bool incremental = options.reuse == Reuse::Incremental;
  const Graph& graph = engine.graph();
  const std::size_t d = graph.parameterCount();
  estimate.values.assign(d, 0.0);

  const Directions directions(graph, options);
  std::vector<Slope> slopes(options.queries);
  std::vector<Buffers> buffers = buffersOf(d, control.threads);
  static_cast<Evaluation&>(estimate) = engine.begin(problem, control, queryKind(options.reuse), options.queries);

  const std::size_t failed = runQueries(options.queries, control, [&](int thread, std::size_t q) {
    std::vector<double>& direction = buffers[thread].direction;
    directions.draw(q, 0, d, direction.data());
    slopes[q].factors = directions.factors(direction.data());
    const auto change = [&](double mu) {
      const double loss =
          lossMoved(engine, thread, problem, options.reuse, slopes[q].factors, mu, buffers[thread], control);
      return incremental ? loss : loss - estimate.loss;
    };
    const double plus = change(options.mu), minus = options.central ? change(-options.mu) : 0;
    slopes[q].value = (plus - minus) / (options.central ? 2 * options.mu : options.mu);
    return std::isfinite(slopes[q].value);
  });

  if (failed != options.queries) throw NonFinite(static_cast<long long>(failed));
  accumulate(graph, directions, slopes, control, estimate.values);
  estimate.queries = 1 + options.queries * (options.central ? 2 : 1);
  return estimate;
}

PerturbedOutputs randomizedOutputs(Engine& engine, const Problem& problem, const RandomizedOptions& options,
                                   QueryRange range, std::uint64_t mark, const Control& control) {
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
    return lossMoved(engine, thread, problem, options.reuse, factors[i], side == 0 ? options.mu : -options.mu,
                     buffers[thread], control);
  };
  const auto nameOf = [&](std::size_t i) { return static_cast<long long>(range.first + i); };
  const OutputQueries queries = outputQueries(options, range, mark);
  PerturbedOutputs result = collectOutputs(engine, problem, queries, control, run, nameOf);
  result.distances.assign(range.count, options.central ? 2 * options.mu : options.mu);
  return result;
}

std::size_t outputsFootprint(const Engine& engine, int count, const RandomizedOptions& options, QueryRange range,
                             int threads) {
  const Graph& graph = engine.graph();
  const std::size_t factors = sizeof(std::vector<double>) + graph.parameters().size() * sizeof(double);
  return collectedFootprint(engine, count, outputQueries(options, range, 0), threads) +
         buffersFootprint(graph.parameterCount(), threads) + range.count * factors;
}

std::vector<double> combineDirections(const Graph& graph, const RandomizedOptions& options, const double* values,
                                      const Control& control) {
  const std::size_t d = graph.parameterCount();
  const Directions directions(graph, options);
  std::vector<Slope> slopes(options.queries);
  std::vector<std::vector<double>> drawn(control.threads, std::vector<double>(directions.normalised() ? d : 0));
  Control quiet = control;
  quiet.progress = nullptr;
  runQueries(options.queries, quiet, [&](int thread, std::size_t q) {
    if (directions.normalised()) directions.draw(q, 0, d, drawn[thread].data());
    slopes[q] = {values[q], directions.factors(drawn[thread].data())};
    return true;
  });
  std::vector<double> result(d, 0.0);
  accumulate(graph, directions, slopes, control, result);
  return result;
}

std::size_t combineFootprint(const Graph& graph, const RandomizedOptions& options, int threads) {
  const std::size_t d = graph.parameterCount(), tensors = graph.parameters().size();
  const std::size_t drawn = Directions(graph, options).normalised() ? threads * d : 0;
  return (d + drawn) * sizeof(double) + options.queries * (sizeof(Slope) + tensors * sizeof(double));
}

}  // namespace deepzero
