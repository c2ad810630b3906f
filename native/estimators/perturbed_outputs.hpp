// The loop that collects outputs at perturbed points.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "estimators/estimators.hpp"
#include "estimators/queries.hpp"

namespace deepzero {

// Which queries, and what they start from.
struct OutputQueries {
  QueryKind kind = QueryKind::Changes;
  std::size_t ofEstimate = 0;  // queries of the whole estimate
  std::size_t count = 0;       // of this part
  int sides = 1;
  std::uint64_t mark = 0;
};

// Calls `run(thread, i, side)` for every query i and side, which returns NaN if an output is not finite, and collects
// the outputs. `nameOf(i)` is the coordinate of the error.
template <typename Run, typename Name>
PerturbedOutputs collectOutputs(Engine& engine, const Problem& problem, const OutputQueries& queries,
                                const Control& control, Run run, Name nameOf) {
  const std::size_t size = problem.count * engine.graph().output().size();
  PerturbedOutputs result;
  result.perturbed.resize(queries.count * queries.sides * size);
  result.base = engine.beginOnce(queries.mark, problem, control, queries.kind, queries.ofEstimate);
  if (result.base) {
    result.unperturbed.resize(size);
    engine.baseOutputs(queries.kind, problem, result.unperturbed.data());
  }
  const std::size_t failed = runQueries(queries.count, control, [&](int thread, std::size_t i) {
    for (int side = 0; side < queries.sides; ++side) {
      if (!std::isfinite(run(thread, i, side))) return false;
      engine.outputs(queries.kind, thread, problem, result.perturbed.data() + (i * queries.sides + side) * size);
    }
    return true;
  });
  if (failed != queries.count) throw NonFinite(nameOf(failed));
  return result;
}

// Bytes that collectOutputs() allocates.
inline std::size_t collectedFootprint(const Engine& engine, int count, const OutputQueries& queries, int threads) {
  const std::size_t size = count * engine.graph().output().size();
  const std::size_t numbers = checkedTimes(size, queries.count * queries.sides + 1) + queries.count;
  return engine.footprint(queries.kind, count, threads) + checkedTimes(numbers, sizeof(double));
}

}  // namespace deepzero
