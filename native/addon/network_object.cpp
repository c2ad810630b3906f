#include "addon/network_object.hpp"

#include <algorithm>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "addon/convert.hpp"
#include "addon/jobs.hpp"
#include "estimators/estimators.hpp"
#include "network/plan.hpp"
#include "network/reference.hpp"

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

Napi::Object toObject(Napi::Env env, const Estimate& estimate) {
  Napi::Object result = toObject(env, static_cast<const Evaluation&>(estimate));
  result.Set("values", toTypedArray(env, estimate.values));
  result.Set("queries", static_cast<double>(estimate.queries));
  return result;
}

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

// Starts `compute(request, control)` as a job. The request is copied now, the result made into an object at the end.
template <typename Requested, typename Compute>
Napi::Value startJob(const Napi::CallbackInfo& info, Requested request, Compute compute) {
  const int threads = request.threads;
  Computation computation =
      [compute, shared = std::make_shared<const Requested>(std::move(request))](const Control& control) -> Delivery {
    auto result = std::make_shared<const decltype(compute(*shared, control))>(compute(*shared, control));
    return [result](Napi::Env env) { return toObject(env, *result); };
  };
  return info.Env().GetInstanceData<Jobs>()->start(threads, std::move(computation), info[1]);
}

Napi::Object requestOf(const Napi::CallbackInfo& info) {
  if (!info[0].IsObject()) throw invalidArgument(info.Env(), "Expected the request to be an object");
  return info[0].As<Napi::Object>();
}

}  // namespace

Napi::Function NetworkObject::define(Napi::Env env, const Kernels& kernels) {
  return DefineClass(env, "Network",
                     {
                         InstanceMethod<&NetworkObject::evaluate>("evaluate"),
                         InstanceMethod<&NetworkObject::coordinatewise>("coordinatewise"),
                         InstanceMethod<&NetworkObject::randomized>("randomized"),
                         InstanceMethod<&NetworkObject::reference>("reference"),
                         InstanceMethod<&NetworkObject::release>("release"),
                     },
                     const_cast<Kernels*>(&kernels));
}

// Only Napi::Error may leave a callback.
static std::shared_ptr<Engine> makeEngine(const Napi::CallbackInfo& info) {
  Graph graph = toGraph(info[0], info[1]);
  try {
    return std::make_shared<Engine>(std::move(graph), *static_cast<const Kernels*>(info.Data()));
  } catch (const std::bad_alloc&) {
    throw Napi::Error::New(info.Env(), "Not enough memory for the network's weights");
  }
}

NetworkObject::NetworkObject(const Napi::CallbackInfo& info) : ObjectWrap(info), engine_(makeEngine(info)) {
  const Napi::Env env = info.Env();
  const Graph& graph = engine_->graph();
  std::vector<std::int32_t> cutPoints;
  for (const Parameter& parameter : graph.parameters()) {
    cutPoints.push_back(engine_->plan().segmentOf(parameter.operation));
  }
  const auto property = [](const char* name, Napi::Value value) {
    return Napi::PropertyDescriptor::Value(name, value, napi_enumerable);
  };
  Value().DefineProperties({
      property("parameterCount", Napi::Number::New(env, static_cast<double>(graph.parameterCount()))),
      property("statisticsCount", Napi::Number::New(env, static_cast<double>(graph.statisticsCount()))),
      property("outputCount", Napi::Number::New(env, static_cast<double>(graph.output().size()))),
      property("cutPoints", toTypedArray(env, cutPoints)),
  });
}

Napi::Value NetworkObject::evaluate(const Napi::CallbackInfo& info) {
  return startJob(info, toRequest(requestOf(info), engine_->graph()),
                  [engine = engine_](const Request& request, const Control& control) {
                    return engine->evaluate(request.problem(), control);
                  });
}

Napi::Value NetworkObject::coordinatewise(const Napi::CallbackInfo& info) {
  return startJob(info, toCoordinatewise(requestOf(info), engine_->graph()),
                  [engine = engine_](const CoordinatewiseRequest& request, const Control& control) {
                    return deepzero::coordinatewise(*engine, request.problem(), request.options(), control);
                  });
}

Napi::Value NetworkObject::randomized(const Napi::CallbackInfo& info) {
  return startJob(info, toRandomized(requestOf(info), engine_->graph()),
                  [engine = engine_](const RandomizedRequest& request, const Control& control) {
                    return deepzero::randomized(*engine, request.problem(), request.options, control);
                  });
}

Napi::Value NetworkObject::reference(const Napi::CallbackInfo& info) {
  return startJob(info, toCoordinatewise(requestOf(info), engine_->graph()),
                  [engine = engine_](const CoordinatewiseRequest& request, const Control& control) {
                    ReferenceResult result;
                    result.values = referenceCoordinatewise(engine->graph(), request.problem(),
                                                            request.coordinates.data(), request.coordinates.size(),
                                                            request.mu, request.central, control, &result.loss);
                    return result;
                  });
}

Napi::Value NetworkObject::release(const Napi::CallbackInfo& info) {
  runAfterJobs([engine = engine_] { engine->release(); });
  return info.Env().Undefined();
}

}  // namespace deepzero
