#include <algorithm>
#include <cmath>

#include "estimators/directions.hpp"
#include "estimators/estimators.hpp"
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

QueryKind queryKind(Reuse reuse) { return reuse == Reuse::Incremental ? QueryKind::AllChange : QueryKind::Values; }

}  // namespace

std::size_t footprint(const Engine& engine, int count, const RandomizedOptions& options, int threads) {
  const std::size_t d = engine.graph().parameterCount(), tensors = engine.graph().parameters().size();
  const std::size_t result = d * sizeof(double), drawn = d * (sizeof(double) + sizeof(float));
  return engine.footprint(queryKind(options.reuse), count, threads) + result + threads * drawn +
         options.queries * (sizeof(Slope) + tensors * sizeof(double));
}

Estimate randomized(Engine& engine, const Problem& problem, const RandomizedOptions& options, const Control& control) {
  Estimate estimate;
  const bool incremental = options.reuse == Reuse::Incremental;
  const Graph& graph = engine.graph();
  const std::size_t d = graph.parameterCount();
  estimate.values.assign(d, 0.0);

  const Directions directions(graph, options);
  std::vector<Slope> slopes(options.queries);
  std::vector<Buffers> buffers;
  buffers.reserve(control.threads);
  for (int thread = 0; thread < control.threads; ++thread) buffers.emplace_back(d);
  static_cast<Evaluation&>(estimate) = engine.begin(problem, control, queryKind(options.reuse), options.queries);

  const std::size_t failed = runQueries(options.queries, control, [&](int thread, std::size_t q) {
    std::vector<double>& direction = buffers[thread].direction;
    std::vector<float>& moved = buffers[thread].moved;
    directions.draw(q, 0, d, direction.data());
    slopes[q].factors = directions.factors(direction.data());
    const auto change = [&](double mu) {
      for (std::size_t p = 0; p < graph.parameters().size(); ++p) {
        const Parameter& tensor = graph.parameters()[p];
        for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
          const double step = mu * slopes[q].factors[p] * direction[i];
          moved[i] = static_cast<float>(incremental ? step : problem.parameters[i] + step);
        }
      }
      if (incremental) return engine.lossChange(thread, moved.data(), problem, control);
      engine.weights(thread).assign(moved.data());
      return engine.lossFrom(thread, 1, problem, control) - estimate.loss;
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

}  // namespace deepzero
