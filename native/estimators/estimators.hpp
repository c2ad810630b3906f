// Zeroth-order gradient estimates: from loss values alone. Queries run on all threads; the result has the same bits for
// every number of threads. Parameters are only read: a perturbation is applied to a thread's copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "network/problem.hpp"
#include "runtime/engine.hpp"
#include "support/control.hpp"

namespace deepzero {

struct Estimate : Evaluation {
  std::vector<double> values;  // one entry per coordinate (CGE) or per parameter (RGE)
  std::size_t queries = 0;     // loss evaluations, the unperturbed pass included
};

// Outputs at perturbed points, for a loss that is computed elsewhere. Many calls with a part of an estimate's queries
// each share its unperturbed pass: they have one mark.
struct PerturbedOutputs {
  std::optional<Evaluation> base;   // absent if a call before with this mark has made it
  std::vector<double> unperturbed;  // [image][output], in the precision of the queries; empty likewise
  std::vector<double> perturbed;    // [query][side][image][output]; the side below only if central
  std::vector<double> distances;    // by query: the difference of its losses over this is its slope
};

// How much of the unperturbed pass a query reuses. None restarts at the input, Block at the perturbed residual block,
// Layer at the perturbed layer; Incremental carries changes instead of values.
enum class Reuse { None, Block, Layer, Incremental };

struct CoordinatewiseOptions {
  double mu = 0;
  bool central = false;
  Reuse reuse = Reuse::Incremental;
  const std::uint32_t* coordinates = nullptr;  // distinct, each < parameterCount
  std::size_t count = 0;
};

// The segment at which a query that perturbs this coordinate restarts.
int cutPoint(const Engine& engine, std::size_t coordinate, Reuse reuse);

// Positions in `coordinates` in the order in which the queries start: the tensor whose queries cost most comes first,
// so that no thread is left with a long query at the end. Within a tensor they are ordered by flat index, so that
// neighbours share cached data.
std::vector<std::size_t> queryOrder(const Engine& engine, const CoordinatewiseOptions& options);

// Bytes that the estimate allocates on `count` images.
std::size_t footprint(const Engine& engine, int count, const CoordinatewiseOptions& options, int threads);

// CGE, equation 2 of DeepZero, over any set of coordinates: values[i] belongs to coordinates[i].
Estimate coordinatewise(Engine& engine, const Problem& problem, const CoordinatewiseOptions& options,
                        const Control& control);

// The outputs that CGE over these coordinates compares, in place of losses; the problem's loss is None.
PerturbedOutputs coordinatewiseOutputs(Engine& engine, const Problem& problem, const CoordinatewiseOptions& options,
                                       std::uint64_t mark, const Control& control);
std::size_t outputsFootprint(const Engine& engine, int count, const CoordinatewiseOptions& options, int threads);

enum class Distribution { Gaussian, Sphere, Rademacher };

struct RandomizedOptions {
  double mu = 0;
  bool central = false;
  Reuse reuse = Reuse::Incremental;  // or None
  std::size_t queries = 0;
  Distribution distribution = Distribution::Gaussian;
  bool perTensor = false;  // each parameter tensor's direction has unit length by itself
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;
  std::uint32_t index = 0;
};

// Bytes that the estimate allocates on `count` images.
std::size_t footprint(const Engine& engine, int count, const RandomizedOptions& options, int threads);

// RGE, equation 1 of DeepZero: values has one entry per parameter.
Estimate randomized(Engine& engine, const Problem& problem, const RandomizedOptions& options, const Control& control);

// Neighbours of a row: of an estimate's queries, or of the parameters.
struct Range {
  std::size_t first = 0, count = 0;
};

// Slopes along a part of RGE's directions, and by query and parameter tensor the factors that make directions of the
// numbers that are drawn.
struct DirectionSlopes : Evaluation {
  std::vector<double> slopes;   // [query of the part]
  std::vector<double> factors;  // [query of the part][parameter tensor]
};
DirectionSlopes directionSlopes(Engine& engine, const Problem& problem, const RandomizedOptions& options, Range range,
                                const Control& control);
std::size_t slopesFootprint(const Engine& engine, int count, const RandomizedOptions& options, Range range,
                            int threads);

// The outputs that RGE compares, of a part of its queries.
PerturbedOutputs randomizedOutputs(Engine& engine, const Problem& problem, const RandomizedOptions& options,
                                   Range range, std::uint64_t mark, const Control& control);
std::size_t outputsFootprint(const Engine& engine, int count, const RandomizedOptions& options, Range range,
                             int threads);

// RGE's values of some parameters, the first a multiple of four, from the slopes along all of its directions:
// 1/q · Σ slope·u. Without the factors of directionSlopes() they are computed again.
std::vector<double> combineDirections(const Graph& graph, const RandomizedOptions& options, const double* slopes,
                                      const double* factors, Range parameters, const Control& control);
std::size_t combineFootprint(const Graph& graph, const RandomizedOptions& options, bool withFactors, Range parameters,
                             int threads);
// Of all parameters, without factors.
std::vector<double> combineDirections(const Graph& graph, const RandomizedOptions& options, const double* slopes,
                                      const Control& control);
std::size_t combineFootprint(const Graph& graph, const RandomizedOptions& options, int threads);

}  // namespace deepzero
