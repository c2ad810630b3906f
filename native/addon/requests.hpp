// The requests of a network's computations. One type for each serves running it and counting its memory.
//
// A request is constructed from a JavaScript object, whose arrays it copies, so that the caller may go on using them.
// With Arrays::Counted it copies none, and can only count memory.
#pragma once

#include <napi.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <vector>

#include "estimators/estimators.hpp"
#include "estimators/query_work.hpp"
#include "network/plan/graph.hpp"
#include "network/problem.hpp"
#include "runtime/engine.hpp"
#include "support/control.hpp"

namespace deepzero {

enum class Arrays { Copied, Counted };

// Copies an array before anything in it is checked: another thread may be writing to shared memory.
template <typename T>
std::vector<T> copied(const Napi::TypedArrayOf<T>& array) {
  const std::size_t length = array.ElementLength();
  std::vector<T> result(length);
  if (length > 0) std::memcpy(result.data(), array.Data(), length * sizeof(T));
  return result;
}

std::vector<std::uint32_t> toCoordinates(Napi::Object from, const Graph& graph);
RandomizedOptions toRandomizedOptions(Napi::Object from);

struct Request {
  std::vector<float> parameters, statistics, images, targets;
  std::vector<std::int32_t> labels;
  int count = 0;
  Loss loss = Loss::CrossEntropy;
  bool training = true;
  int threads = 1;
  std::size_t arrayBytes = 0;  // of all arrays of the request

  Request(Napi::Object from, const Graph& graph, Arrays arrays);
  Problem problem() const;
};

// Each computation has `run`, and `footprint`: the bytes that it allocates on a number of threads, without arrayBytes.

struct EvaluateRequest : Request {
  using Request::Request;
  Evaluation run(Engine& engine, const Control& control) const;
  std::size_t footprint(const Engine& engine, int onThreads) const;
};

struct GradientRequest : Request {
  Precision precision = Precision::Single;

  GradientRequest(Napi::Object from, const Graph& graph, Arrays arrays);
  Gradient run(Engine& engine, const Control& control) const;
  std::size_t footprint(const Engine& engine, int onThreads) const;
};

// The common part of CGE and its reference.
struct CoordinatesRequest : Request {
  std::vector<std::uint32_t> coordinates;
  std::size_t coordinateCount = 0;
  double mu = 0;
  bool central = false;

  CoordinatesRequest(Napi::Object from, const Graph& graph, Arrays arrays);
};

struct CoordinatewiseRequest : CoordinatesRequest {
  Reuse reuse = Reuse::Incremental;

  CoordinatewiseRequest(Napi::Object from, const Graph& graph, Arrays arrays);
  CoordinatewiseOptions options() const;
  Estimate run(Engine& engine, const Control& control) const;
  std::size_t footprint(const Engine& engine, int onThreads) const;
};

struct RandomizedRequest : Request {
  RandomizedOptions options;

  RandomizedRequest(Napi::Object from, const Graph& graph, Arrays arrays);
  Estimate run(Engine& engine, const Control& control) const;
  std::size_t footprint(const Engine& engine, int onThreads) const;
};

struct ReferenceResult {
  double loss = 0;
  std::vector<double> values;  // one entry per coordinate
};

struct ReferenceRequest : CoordinatesRequest {
  using CoordinatesRequest::CoordinatesRequest;
  ReferenceResult run(Engine& engine, const Control& control) const;
  std::size_t footprint(const Engine& engine, int onThreads) const;
};

// A part of an estimate whose losses JavaScript computes from the outputs. Parts with the same mark share the
// unperturbed pass.
struct CoordinateOutputsRequest : CoordinatewiseRequest {
  std::uint64_t mark = 0;

  CoordinateOutputsRequest(Napi::Object from, const Graph& graph, Arrays arrays);
  PerturbedOutputs run(Engine& engine, const Control& control) const;
  std::size_t footprint(const Engine& engine, int onThreads) const;
};

struct DirectionOutputsRequest : RandomizedRequest {
  Range range;
  std::uint64_t mark = 0;

  DirectionOutputsRequest(Napi::Object from, const Graph& graph, Arrays arrays);
  PerturbedOutputs run(Engine& engine, const Control& control) const;
  std::size_t footprint(const Engine& engine, int onThreads) const;
};

struct ReferenceOutputsRequest : CoordinatesRequest {
  using CoordinatesRequest::CoordinatesRequest;
  PerturbedOutputs run(Engine& engine, const Control& control) const;
  std::size_t footprint(const Engine& engine, int onThreads) const;
};

// The end of such an estimate along directions.
struct CombineRequest {
  RandomizedOptions options;
  std::vector<double> slopes;
  int threads = 1;
  std::size_t arrayBytes = 0;

  CombineRequest(Napi::Object from, const Graph& graph, Arrays arrays);
  std::vector<double> run(Engine& engine, const Control& control) const;
  std::size_t footprint(const Engine& engine, int onThreads) const;
};

// A computation's name in JavaScript, and the type of its request.
template <typename RequestType>
struct NamedComputation {
  using Type = RequestType;
  const char* name;
};

inline constexpr std::tuple kComputations{NamedComputation<EvaluateRequest>{"evaluate"},
                                          NamedComputation<GradientRequest>{"gradient"},
                                          NamedComputation<CoordinatewiseRequest>{"coordinatewise"},
                                          NamedComputation<RandomizedRequest>{"randomized"},
                                          NamedComputation<ReferenceRequest>{"reference"},
                                          NamedComputation<CoordinateOutputsRequest>{"coordinateOutputs"},
                                          NamedComputation<DirectionOutputsRequest>{"directionOutputs"},
                                          NamedComputation<ReferenceOutputsRequest>{"referenceOutputs"},
                                          NamedComputation<CombineRequest>{"combine"}};

// The work of the coordinates' queries, together, for each Reuse. Nothing is computed.
using Cost = std::array<Work, 4>;

struct CostRequest {
  std::vector<std::uint32_t> coordinates;
  int threads = 1;

  CostRequest(Napi::Object from, const Graph& graph);
  Cost run(Engine& engine, const Control& control) const;
};

}  // namespace deepzero
