#include "addon/network_object.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "addon/convert.hpp"
#include "addon/start_job.hpp"
#include "estimators/estimators.hpp"
#include "estimators/query_work.hpp"
#include "network/reference/reference.hpp"

namespace deepzero {

namespace {

template <typename T>
Napi::Value toTypedArray(Napi::Env env, const std::vector<T>& values) {
  Napi::TypedArrayOf<T> array = Napi::TypedArrayOf<T>::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

Napi::Object toObject(Napi::Env env, const Evaluation& evaluation) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("loss", evaluation.loss);
  result.Set("outputs", toTypedArray(env, evaluation.outputs));
  result.Set("statistics", toTypedArray(env, evaluation.statistics));
  return result;
}

Napi::Object toObject(Napi::Env env, const Gradient& gradient) {
  Napi::Object result = toObject(env, static_cast<const Evaluation&>(gradient));
  result.Set("values", toTypedArray(env, gradient.values));
  return result;
}

Napi::Object toObject(Napi::Env env, const Estimate& estimate) {
  Napi::Object result = toObject(env, static_cast<const Evaluation&>(estimate));
  result.Set("values", toTypedArray(env, estimate.values));
  result.Set("queries", static_cast<double>(estimate.queries));
  return result;
}

using CostResult = std::array<Work, 4>;  // by Reuse, of all coordinates together

struct ReferenceResult {
  double loss = 0;
  std::vector<double> values;
};

Napi::Object toObject(Napi::Env env, const ReferenceResult& reference) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("loss", reference.loss);
  result.Set("values", toTypedArray(env, reference.values));
  return result;
}

Napi::Object toObject(Napi::Env env, const CostResult& cost) {
  Napi::Object result = Napi::Object::New(env);
  const char* const names[] = {"none", "block", "layer", "incremental"};
  for (std::size_t reuse = 0; reuse < cost.size(); ++reuse) result.Set(names[reuse], toObject(env, cost[reuse]));
  return result;
}

std::size_t footprintOf(const Engine& engine, const MemoryRequest& request) {
  const auto& [computation, count, threads, coordinatewise, randomized, precision, copied] = request;
  switch (computation) {
    case ComputationName::Evaluate: return engine.footprint(QueryKind::None, count, threads);
    case ComputationName::Gradient: return engine.footprint(Engine::kindOf(precision), count, threads);
    case ComputationName::Coordinatewise: return footprint(engine, count, coordinatewise, threads);
    case ComputationName::Randomized: return footprint(engine, count, randomized, threads);
    case ComputationName::Reference: break;
  }
  return referenceBytes(engine.graph(), count, coordinatewise.count);
}

}  // namespace

Napi::Function NetworkObject::define(Napi::Env env, const Kernels& kernels) {
  return DefineClass(env, "Network",
                     {
                         InstanceMethod<&NetworkObject::evaluate>("evaluate"),
                         InstanceMethod<&NetworkObject::gradient>("gradient"),
                         InstanceMethod<&NetworkObject::coordinatewise>("coordinatewise"),
                         InstanceMethod<&NetworkObject::randomized>("randomized"),
                         InstanceMethod<&NetworkObject::reference>("reference"),
                         InstanceMethod<&NetworkObject::cost>("cost"),
                         InstanceMethod<&NetworkObject::steps>("steps"),
                         InstanceMethod<&NetworkObject::memory>("memory"),
                         InstanceMethod<&NetworkObject::release>("release"),
                     },
                     const_cast<Kernels*>(&kernels));
}

NetworkObject::NetworkObject(const Napi::CallbackInfo& info)
    : ObjectWrap(info),
      engine_(withClearErrors(info.Env(),
                              [&] {
                                return std::make_shared<Engine>(toGraph(info[0], info[1]),
                                                                *static_cast<const Kernels*>(info.Data()));
                              })),
      memory_(std::make_shared<ExternalMemory>(info.Env())) {}

template <typename Requested, typename Compute>
Napi::Value NetworkObject::start(const Napi::CallbackInfo& info, Requested convert(Napi::Object, const Graph&),
                                 Compute compute) {
  return startJob(
      info, [&](Napi::Object from) { return convert(from, engine_->graph()); },
      [engine = engine_, compute](const Requested& request, const Control& control) {
        return compute(*engine, request, control);
      },
      [](Napi::Env env, const auto& result) { return toObject(env, result); }, memory_);
}

Napi::Value NetworkObject::evaluate(const Napi::CallbackInfo& info) {
  return start(info, toRequest, [](Engine& engine, const Request& request, const Control& control) {
    return engine.evaluate(request.problem(), control);
  });
}

Napi::Value NetworkObject::gradient(const Napi::CallbackInfo& info) {
  return start(info, toGradient, [](Engine& engine, const GradientRequest& request, const Control& control) {
    return engine.gradient(request.problem(), control, request.precision);
  });
}

Napi::Value NetworkObject::coordinatewise(const Napi::CallbackInfo& info) {
  return start(info, toCoordinatewise,
               [](Engine& engine, const CoordinatewiseRequest& request, const Control& control) {
                 return deepzero::coordinatewise(engine, request.problem(), request.options(), control);
               });
}

Napi::Value NetworkObject::randomized(const Napi::CallbackInfo& info) {
  return start(info, toRandomized, [](Engine& engine, const RandomizedRequest& request, const Control& control) {
    return deepzero::randomized(engine, request.problem(), request.options, control);
  });
}

Napi::Value NetworkObject::reference(const Napi::CallbackInfo& info) {
  return start(
      info, toCoordinatewise, [](const Engine& engine, const CoordinatewiseRequest& request, const Control& control) {
        ReferenceResult result;
        result.values =
            referenceCoordinatewise(engine.graph(), request.problem(), request.coordinates.data(),
                                    request.coordinates.size(), request.mu, request.central, control, &result.loss);
        return result;
      });
}

Napi::Value NetworkObject::cost(const Napi::CallbackInfo& info) {
  return start(info, toCost, [](const Engine& engine, const CostRequest& request, const Control& control) {
    CostResult result;
    QueryWork work(engine);
    for (const std::uint32_t coordinate : request.coordinates) {
      if (control.stop()) throw Cancelled();
      for (std::size_t reuse = 0; reuse < result.size(); ++reuse) {
        result[reuse] += work.of(coordinate, static_cast<Reuse>(reuse));
      }
    }
    return result;
  });
}

Napi::Value NetworkObject::steps(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Plan& plan = engine_->plan();
  Napi::Array result = Napi::Array::New(env);
  for (int i = 0; i < static_cast<int>(engine_->graph().operations().size()); ++i) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("step", plan.stepOf(i));
    entry.Set("kernel", plan.kernelOf(plan.steps()[plan.stepOf(i)]));
    result.Set(i, entry);
  }
  return result;
}

Napi::Value NetworkObject::memory(const Napi::CallbackInfo& info) {
  return withClearErrors(info.Env(), [&] {
    const MemoryRequest request = toMemory(info[0], info[1]);
    const std::size_t bytes = footprintOf(*engine_, request) + request.copied;
    return Napi::Number::New(info.Env(), static_cast<double>(bytes));
  });
}

Napi::Value NetworkObject::release(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  withClearErrors(env, [&] {
    Computation computation = [engine = engine_](const Control&) -> Delivery {
      engine->release();
      return [](Napi::Env env) { return env.Undefined(); };
    };
    env.GetInstanceData<Jobs>()->start(1, std::move(computation), env.Undefined(), memory_);
  });
  return env.Undefined();
}

}  // namespace deepzero
