#include "addon/network_object.hpp"

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "addon/convert.hpp"
#include "addon/jobs/start_job.hpp"
#include "addon/requests.hpp"

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

Napi::Object toObject(Napi::Env env, const ReferenceResult& reference) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("loss", reference.loss);
  result.Set("values", toTypedArray(env, reference.values));
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

// { threads, bytes }: the most threads, up to `threads`, that fit into a bound, and their bytes; 0 threads and the
// bytes of one if none fits. More threads never take less.
template <typename Bytes>
Napi::Object mostThreads(Napi::Env env, int threads, Bytes bytes, double bound) {
  int fitting = threads;
  double needed = bytes(threads);
  if (needed > bound) {
    // `fitting` threads fit, if not 0, and `beyond` do not.
    int beyond = threads;
    for (fitting = 0; beyond - fitting > 1;) {
      const int middle = fitting + (beyond - fitting) / 2;
      (bytes(middle) <= bound ? fitting : beyond) = middle;
    }
    needed = bytes(fitting > 0 ? fitting : 1);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("threads", fitting);
  result.Set("bytes", needed);
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
  const Napi::Env env = info.Env();
  return withClearErrors(env, [&] {
    const Napi::Object from = toObject(info[1], "the request");
    if (!info[2].IsNumber()) throw expected(env, "the bound", "a number");
    const double bound = info[2].As<Napi::Number>().DoubleValue();
    Napi::Object result;
    const auto answer = [&](auto computation) {
      if (!info[0].IsString() || info[0].As<Napi::String>().Utf8Value() != computation.name) return false;
      const typename decltype(computation)::Type request(from, engine_->graph(), Arrays::Counted);
      const auto bytes = [&](int threads) {
        return static_cast<double>(request.footprint(*engine_, threads) + request.arrayBytes);
      };
      result = mostThreads(env, request.threads, bytes, bound);
      return true;
    };
    if (!std::apply([&](auto... computations) { return (answer(computations) || ...); }, kComputations)) {
      throw expected(env, "the computation", "one of the network's methods that compute");
    }
    return result;
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
