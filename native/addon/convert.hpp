// JavaScript values copied into plain data. Checks are what memory safety needs: types, lengths and ranges that native
// code indexes with. Messages are for the callers in lib/, which have already checked what users passed.
#pragma once

#include <napi.h>

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "estimators/estimators.hpp"
#include "measure/kernel_runs.hpp"
#include "network/plan/graph.hpp"
#include "network/problem.hpp"

namespace deepzero {

inline constexpr std::int64_t kMaxSafeInteger = (std::int64_t{1} << 53) - 1;

// An error with code DEEPZERO_INVALID_ARGUMENT.
Napi::Error invalidArgument(Napi::Env env, const std::string& message);

inline constexpr const char* kNativeCode = "DEEPZERO_NATIVE";

// What went wrong, in words for users.
std::string describe(const std::exception& error);

// An error with code DEEPZERO_NATIVE.
Napi::Error nativeError(Napi::Env env, const std::exception& error);

// Throws invalidArgument unless the value is an integer from `low` to `high`.
std::int64_t toInteger(Napi::Value value, const std::string& what, std::int64_t low, std::int64_t high);

Graph toGraph(Napi::Value input, Napi::Value operations);

// What a Problem borrows from, copied out of JavaScript so that the caller may go on using its arrays.
struct Request {
  std::vector<float> parameters, statistics, images, targets;
  std::vector<std::int32_t> labels;
  int count = 0;
  Loss loss = Loss::CrossEntropy;
  bool training = true;
  int threads = 1;

  Problem problem() const;
};
Request toRequest(Napi::Object from, const Graph& graph);

struct CoordinatewiseRequest : Request {
  std::vector<std::uint32_t> coordinates;
  double mu = 0;
  bool central = false;
  Reuse reuse = Reuse::Incremental;

  CoordinatewiseOptions options() const;
};
CoordinatewiseRequest toCoordinatewise(Napi::Object from, const Graph& graph);

struct RandomizedRequest : Request {
  RandomizedOptions options;
};
RandomizedRequest toRandomized(Napi::Object from, const Graph& graph);

struct GradientRequest : Request {
  Precision precision = Precision::Single;
};
GradientRequest toGradient(Napi::Object from, const Graph& graph);

struct CostRequest {
  std::vector<std::uint32_t> coordinates;
  int threads = 1;
};
CostRequest toCost(Napi::Object from, const Graph& graph);

enum class ComputationName { Evaluate, Gradient, Coordinatewise, Randomized, Reference };

// What of a computation's request its memory depends on.
struct MemoryRequest {
  ComputationName computation = ComputationName::Evaluate;
  int count = 1;
  int threads = 1;
  CoordinatewiseOptions coordinatewise;  // how many coordinates, not which
  RandomizedOptions randomized;
  Precision precision = Precision::Single;  // of a gradient
  std::size_t copied = 0;                   // bytes of the request's arrays
};
MemoryRequest toMemory(Napi::Value computation, Napi::Value request);

struct KernelRequest : KernelRun {
  int threads = 1;
};
KernelRequest toKernelRun(Napi::Object from);

}  // namespace deepzero
