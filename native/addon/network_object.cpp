#include "addon/network_object.hpp"

#include <algorithm>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "addon/convert.hpp"
#include "addon/jobs.hpp"
#include "estimators/estimators.hpp"
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

Napi::Object requestOf(const Napi::CallbackInfo& info) {
  if (!info[0].IsObject()) throw invalidArgument(info.Env(), "Expected the request to be an object");
  return info[0].As<Napi::Object>();
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

// What the body throws leaves as an error with a code and a message.
template <typename Body>
auto withClearErrors(Napi::Env env, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw nativeError(env, error);
  }
}

// Starts `compute(request, control)` as a job. The request is converted now, the result made into an object at the end.
template <typename Requested, typename Compute>
Napi::Value startJob(const Napi::CallbackInfo& info, const Graph& graph, Requested convert(Napi::Object, const Graph&),
                     Compute compute) {
  return withClearErrors(info.Env(), [&] {
    const auto request = std::make_shared<const Requested>(convert(requestOf(info), graph));
    Computation computation = [compute, request](const Control& control) -> Delivery {
      auto result = std::make_shared<const decltype(compute(*request, control))>(compute(*request, control));
      return [result](Napi::Env env) { return toObject(env, *result); };
    };
    return info.Env().GetInstanceData<Jobs>()->start(request->threads, std::move(computation), info[1]);
  });
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

NetworkObject::NetworkObject(const Napi::CallbackInfo& info)
    : ObjectWrap(info), engine_(withClearErrors(info.Env(), [&] {
        return std::make_shared<Engine>(toGraph(info[0], info[1]), *static_cast<const Kernels*>(info.Data()));
      })) {}

Napi::Value NetworkObject::evaluate(const Napi::CallbackInfo& info) {
  return startJob(info, engine_->graph(), toRequest,
                  [engine = engine_](const Request& request, const Control& control) {
                    return engine->evaluate(request.problem(), control);
                  });
}

Napi::Value NetworkObject::coordinatewise(const Napi::CallbackInfo& info) {
  return startJob(info, engine_->graph(), toCoordinatewise,
                  [engine = engine_](const CoordinatewiseRequest& request, const Control& control) {
                    return deepzero::coordinatewise(*engine, request.problem(), request.options(), control);
                  });
}

Napi::Value NetworkObject::randomized(const Napi::CallbackInfo& info) {
  return startJob(info, engine_->graph(), toRandomized,
                  [engine = engine_](const RandomizedRequest& request, const Control& control) {
                    return deepzero::randomized(*engine, request.problem(), request.options, control);
                  });
}

Napi::Value NetworkObject::reference(const Napi::CallbackInfo& info) {
  return startJob(info, engine_->graph(), toCoordinatewise,
                  [engine = engine_](const CoordinatewiseRequest& request, const Control& control) {
                    ReferenceResult result;
                    result.values = referenceCoordinatewise(engine->graph(), request.problem(),
                                                            request.coordinates.data(), request.coordinates.size(),
                                                            request.mu, request.central, control, &result.loss);
                    return result;
                  });
}

Napi::Value NetworkObject::release(const Napi::CallbackInfo& info) {
  withClearErrors(info.Env(), [&] { runAfterJobs([engine = engine_] { engine->release(); }); });
  return info.Env().Undefined();
}

}  // namespace deepzero
