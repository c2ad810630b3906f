#include "addon/rollouts_object.hpp"

#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "addon/computations.hpp"
#include "addon/convert.hpp"
#include "addon/jobs/start_job.hpp"
#include "addon/ranks/ranks.hpp"
#include "addon/requests.hpp"
#include "rollouts/reference.hpp"

namespace deepzero {

namespace {

// The common part of the requests; each computation has `run` and `footprint`, as those of a network.
struct RolloutRequest {
  std::vector<float> parameters, items, targets;
  int count = 0, steps = 1, threads = 1;
  RolloutLoss loss = RolloutLoss::SquaredError;
  std::size_t arrayBytes = 0;

  RolloutRequest(Napi::Object from, const Rollouts& rollouts, Arrays arrays);
  RolloutProblem problem() const;
};

RolloutRequest::RolloutRequest(Napi::Object from, const Rollouts& rollouts, Arrays arrays) {
  const Simulator& simulator = rollouts.simulator();
  count = toInt(from, "count", 1);
  steps = toInt(from, "steps", 1);
  threads = toThreads(from);
  loss = toChoice<RolloutLoss>(from, "loss",
                               {{"mean-squared-error", RolloutLoss::SquaredError},
                                {"mean-absolute-error", RolloutLoss::AbsoluteError},
                                {"simulator", RolloutLoss::Simulator}});
  if (loss == RolloutLoss::Simulator && !simulator.hasLoss()) {
    throw expected(from.Env(), "loss", "another one than the simulator's, which has none");
  }
  const auto read = [&](std::vector<float>& to, const char* key, std::size_t length) {
    const auto array = toTypedArrayOf<float>(from, key);
    if (arrays == Arrays::Copied) to = copied(array);
    const std::size_t received = arrays == Arrays::Copied ? to.size() : array.ElementLength();
    if (received != length) {
      throw expected(from.Env(), key, std::to_string(length) + " long, received " + std::to_string(received));
    }
    arrayBytes += checkedTimes(length, sizeof(float));
  };
  const auto trajectories = static_cast<std::size_t>(count);
  read(parameters, "parameters", rollouts.graph().parameterCount());
  read(items, "items", checkedTimes(simulator.parameters() + simulator.state(), trajectories));
  if (!from.Get("targets").IsUndefined()) {
    read(targets, "targets", checkedTimes(checkedTimes(simulator.values(), trajectories), steps));
  }
}

RolloutProblem RolloutRequest::problem() const {
  RolloutProblem problem;
  problem.parameters = parameters.data();
  problem.items = items.data();
  problem.targets = targets.empty() ? nullptr : targets.data();
  problem.count = count;
  problem.steps = steps;
  problem.loss = loss;
  return problem;
}

struct EvaluateRollouts : RolloutRequest {
  using RolloutRequest::RolloutRequest;
  Evaluation run(Rollouts& rollouts, const Control& control) const { return rollouts.evaluate(problem(), control); }
  std::size_t footprint(const Rollouts& rollouts, int onThreads) const {
    return rollouts.footprint(problem(), onThreads);
  }
};

// Of estimates and of their reference: they compare losses, and have targets unless the simulator's loss needs none.
struct RolloutQueries : RolloutRequest {
  double mu = 0;
  bool central = false;

  RolloutQueries(Napi::Object from, const Rollouts& rollouts, Arrays arrays)
      : RolloutRequest(from, rollouts, arrays), mu(toFinite(from, "mu")), central(toBoolean(from, "central")) {
    if (loss != RolloutLoss::Simulator && from.Get("targets").IsUndefined()) {
      throw expected(from.Env(), "targets", "there");
    }
  }
};

struct CoordinatewiseRollouts : RolloutQueries {
  std::vector<std::uint32_t> coordinates;
  std::size_t coordinateCount = 0;

  CoordinatewiseRollouts(Napi::Object from, const Rollouts& rollouts, Arrays arrays)
      : RolloutQueries(from, rollouts, arrays) {
    if (arrays == Arrays::Copied) coordinates = toCoordinates(from, rollouts.graph());
    coordinateCount = arrays == Arrays::Copied ? coordinates.size()
                                               : toTypedArrayOf<std::uint32_t>(from, "coordinates").ElementLength();
    arrayBytes += coordinateCount * sizeof(std::uint32_t);
  }
  CoordinatewiseOptions options() const {
    CoordinatewiseOptions options;
    options.mu = mu;
    options.central = central;
    options.coordinates = coordinates.data();
    options.count = coordinateCount;
    return options;
  }
  RolloutEstimate run(Rollouts& rollouts, const Control& control) const {
    Leader* const ranks = leader();
    return ranks ? ranks->coordinatewise(rollouts, problem(), options(), control)
                 : rollouts.coordinatewise(problem(), options(), control);
  }
  std::size_t footprint(const Rollouts& rollouts, int onThreads) const {
    return rollouts.footprint(problem(), options(), onThreads);
  }
};

struct RandomizedRollouts : RolloutQueries {
  RandomizedOptions options;

  RandomizedRollouts(Napi::Object from, const Rollouts& rollouts, Arrays arrays)
      : RolloutQueries(from, rollouts, arrays), options(toRandomizedOptions(from)) {}
  RolloutEstimate run(Rollouts& rollouts, const Control& control) const {
    Leader* const ranks = leader();
    return ranks ? ranks->randomized(rollouts, problem(), options, control)
                 : rollouts.randomized(problem(), options, control);
  }
  std::size_t footprint(const Rollouts& rollouts, int onThreads) const {
    return rollouts.footprint(problem(), options, onThreads);
  }
};

struct ReferenceRollouts : CoordinatewiseRollouts {
  using CoordinatewiseRollouts::CoordinatewiseRollouts;
  ReferenceResult run(Rollouts& rollouts, const Control& control) const {
    ReferenceResult result;
    result.values = rollouts.reference(problem(), options(), control, &result.loss);
    return result;
  }
};

constexpr std::tuple kRolloutComputations{
    NamedComputation<EvaluateRollouts>{"evaluate"}, NamedComputation<CoordinatewiseRollouts>{"coordinatewise"},
    NamedComputation<RandomizedRollouts>{"randomized"}, NamedComputation<ReferenceRollouts>{"reference"}};

Napi::Object toObject(Napi::Env env, const RolloutEstimate& estimate) {
  Napi::Object result = deepzero::toObject(env, static_cast<const Estimate&>(estimate));
  result.Set("failed", static_cast<double>(estimate.failed));
  if (!estimate.missing.empty()) result.Set("missing", toTypedArray(env, estimate.missing));
  return result;
}

std::string toText(Napi::Value value, const char* what) {
  if (!value.IsString()) throw expected(value.Env(), what, "a string");
  return value.As<Napi::String>().Utf8Value();
}

// Calls `body`, whose std::invalid_argument says what is wrong with a simulator.
template <typename Body>
auto withSimulators(Napi::Env env, Body body) {
  return withClearErrors(env, [&] {
    try {
      return body();
    } catch (const std::invalid_argument& error) {
      throw invalidArgument(env, error.what());
    }
  });
}

Napi::Array toArray(Napi::Env env, const std::int64_t (&map)[3]) {
  Napi::Array result = Napi::Array::New(env, 3);
  for (std::uint32_t i = 0; i < 3; ++i) result.Set(i, static_cast<double>(map[i]));
  return result;
}

}  // namespace

Napi::Value simulatorSizes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return withSimulators(env, [&] {
    const Simulator simulator(std::make_shared<const SimulatorLibrary>(toText(info[0], "the path")),
                              toText(info[1], "the config"));
    const deepzero_sizes& sizes = simulator.sizes();
    Napi::Object result = Napi::Object::New(env);
    result.Set("parameters", static_cast<double>(sizes.parameters));
    result.Set("state", static_cast<double>(sizes.state));
    result.Set("observation", toArray(env, sizes.observation));
    result.Set("output", toArray(env, sizes.output));
    result.Set("values", static_cast<double>(sizes.values));
    result.Set("hasLoss", simulator.hasLoss());
    return result;
  });
}

Napi::Function RolloutsObject::define(Napi::Env env, const Kernels& kernels) {
  std::vector<Napi::ClassPropertyDescriptor<RolloutsObject>> methods{
      InstanceMethod<&RolloutsObject::memory>("memory"),
      InstanceMethod<&RolloutsObject::release>("release"),
  };
  const auto add = [&](auto computation) {
    using RequestType = typename decltype(computation)::Type;
    methods.push_back(InstanceMethod<&RolloutsObject::compute<RequestType>>(computation.name));
  };
  std::apply([&](auto... computations) { (add(computations), ...); }, kRolloutComputations);
  return DefineClass(env, "Rollouts", methods, const_cast<Kernels*>(&kernels));
}

// Receives the network's input and operations, the simulator's path and its config.
RolloutsObject::RolloutsObject(const Napi::CallbackInfo& info)
    : ObjectWrap(info), memory_(std::make_shared<ExternalMemory>(info.Env())) {
  rollouts_ = withSimulators(info.Env(), [&] {
    Graph graph = toGraph(info[0], info[1]);
    auto library = std::make_shared<const SimulatorLibrary>(toText(info[2], "the path"));
    return std::make_shared<Rollouts>(std::move(graph), *static_cast<const Kernels*>(info.Data()), std::move(library),
                                      toText(info[3], "the config"));
  });
}

template <typename RequestType>
Napi::Value RolloutsObject::compute(const Napi::CallbackInfo& info) {
  return startJob(
      info, [&](Napi::Object from) { return RequestType(from, *rollouts_, Arrays::Copied); },
      [rollouts = rollouts_](const auto& request, const Control& control) { return request.run(*rollouts, control); },
      [](Napi::Env env, const auto& result) { return toObject(env, result); }, memory_);
}

Napi::Value RolloutsObject::memory(const Napi::CallbackInfo& info) {
  return threadsWithin(info, kRolloutComputations, *rollouts_, *rollouts_);
}

Napi::Value RolloutsObject::release(const Napi::CallbackInfo& info) { return releaseLater(info, rollouts_, memory_); }

}  // namespace deepzero
