#include "addon/network_object.hpp"

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "addon/computations.hpp"
#include "addon/convert.hpp"
#include "addon/jobs/start_job.hpp"
#include "addon/requests.hpp"

namespace deepzero {

namespace {

Napi::Object toObject(Napi::Env env, const Gradient& gradient) {
  Napi::Object result = toObject(env, static_cast<const Evaluation&>(gradient));
  result.Set("values", toTypedArray(env, gradient.values));
  return result;
}

Napi::Object toObject(Napi::Env env, const PerturbedOutputs& outputs) {
  Napi::Object result = outputs.base ? toObject(env, *outputs.base) : Napi::Object::New(env);
  if (!outputs.unperturbed.empty()) result.Set("unperturbed", toTypedArray(env, outputs.unperturbed));
  result.Set("perturbed", toTypedArray(env, outputs.perturbed));
  result.Set("distances", toTypedArray(env, outputs.distances));
  return result;
}

Napi::Object toObject(Napi::Env env, const std::vector<double>& values) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("values", toTypedArray(env, values));
  return result;
}

Napi::Object toObject(Napi::Env env, const Cost& cost) {
  Napi::Object result = Napi::Object::New(env);
  const char* const names[] = {"none", "block", "layer", "incremental"};
  for (std::size_t reuse = 0; reuse < cost.size(); ++reuse) result.Set(names[reuse], toObject(env, cost[reuse]));
  return result;
}

}  // namespace

Napi::Function NetworkObject::define(Napi::Env env, const Kernels& kernels) {
  std::vector<Napi::ClassPropertyDescriptor<NetworkObject>> methods{
      InstanceMethod<&NetworkObject::cost>("cost"),
      InstanceMethod<&NetworkObject::steps>("steps"),
      InstanceMethod<&NetworkObject::memory>("memory"),
      InstanceMethod<&NetworkObject::release>("release"),
  };
  const auto add = [&](auto computation) {
    using RequestType = typename decltype(computation)::Type;
    methods.push_back(InstanceMethod<&NetworkObject::compute<RequestType>>(computation.name));
  };
  std::apply([&](auto... computations) { (add(computations), ...); }, kComputations);
  return DefineClass(env, "Network", methods, const_cast<Kernels*>(&kernels));
}

NetworkObject::NetworkObject(const Napi::CallbackInfo& info)
    : ObjectWrap(info),
      engine_(withClearErrors(info.Env(),
                              [&] {
                                return std::make_shared<Engine>(toGraph(info[0], info[1]),
                                                                *static_cast<const Kernels*>(info.Data()));
                              })),
      memory_(std::make_shared<ExternalMemory>(info.Env())) {}

template <typename Convert>
Napi::Value NetworkObject::start(const Napi::CallbackInfo& info, Convert convert) {
  return startJob(
      info, convert,
      [engine = engine_](const auto& request, const Control& control) { return request.run(*engine, control); },
      [](Napi::Env env, const auto& result) { return toObject(env, result); }, memory_);
}

template <typename RequestType>
Napi::Value NetworkObject::compute(const Napi::CallbackInfo& info) {
  return start(info, [&](Napi::Object from) { return RequestType(from, engine_->graph(), Arrays::Copied); });
}

Napi::Value NetworkObject::cost(const Napi::CallbackInfo& info) {
  return start(info, [&](Napi::Object from) { return CostRequest(from, engine_->graph()); });
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
  return threadsWithin(info, kComputations, engine_->graph(), *engine_);
}

Napi::Value NetworkObject::release(const Napi::CallbackInfo& info) { return releaseLater(info, engine_, memory_); }

}  // namespace deepzero
