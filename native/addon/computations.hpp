// What JavaScript classes have in common whose methods are computations: results, counted memory, released buffers.
#pragma once

#include <napi.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "addon/convert.hpp"
#include "addon/jobs/start_job.hpp"
#include "addon/requests.hpp"
#include "estimators/estimators.hpp"
#include "runtime/results.hpp"

namespace deepzero {

template <typename T>
Napi::Value toTypedArray(Napi::Env env, const std::vector<T>& values) {
  Napi::TypedArrayOf<T> array = Napi::TypedArrayOf<T>::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

inline Napi::Object toObject(Napi::Env env, const Evaluation& evaluation) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("loss", evaluation.loss);
  result.Set("outputs", toTypedArray(env, evaluation.outputs));
  result.Set("statistics", toTypedArray(env, evaluation.statistics));
  return result;
}

inline Napi::Object toObject(Napi::Env env, const Estimate& estimate) {
  Napi::Object result = toObject(env, static_cast<const Evaluation&>(estimate));
  result.Set("values", toTypedArray(env, estimate.values));
  result.Set("queries", static_cast<double>(estimate.queries));
  return result;
}

inline Napi::Object toObject(Napi::Env env, const ReferenceResult& reference) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("loss", reference.loss);
  result.Set("values", toTypedArray(env, reference.values));
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

// Of a call (a computation's name, its request, a bound on bytes): mostThreads. Requests are made for `subject`, and
// count what they take of `owner`.
template <typename Computations, typename Subject, typename Owner>
Napi::Value threadsWithin(const Napi::CallbackInfo& info, const Computations& computations, const Subject& subject,
                          const Owner& owner) {
  const Napi::Env env = info.Env();
  return withClearErrors(env, [&] {
    const Napi::Object from = toObject(info[1], "the request");
    if (!info[2].IsNumber()) throw expected(env, "the bound", "a number");
    const double bound = info[2].As<Napi::Number>().DoubleValue();
    Napi::Object result;
    const auto answer = [&](auto computation) {
      if (!info[0].IsString() || info[0].As<Napi::String>().Utf8Value() != computation.name) return false;
      const typename decltype(computation)::Type request(from, subject, Arrays::Counted);
      const auto bytes = [&](int threads) {
        return static_cast<double>(request.footprint(owner, threads) + request.arrayBytes);
      };
      result = mostThreads(env, request.threads, bytes, bound);
      return true;
    };
    if (!std::apply([&](auto... all) { return (answer(all) || ...); }, computations)) {
      throw expected(env, "the computation", "one of the methods that compute");
    }
    return result;
  });
}

// Frees the owner's buffers after the pending jobs.
template <typename Owner>
Napi::Value releaseLater(const Napi::CallbackInfo& info, std::shared_ptr<Owner> owner,
                         std::shared_ptr<ExternalMemory> memory) {
  const Napi::Env env = info.Env();
  withClearErrors(env, [&] {
    Computation computation = [owner](const Control&) -> Delivery {
      owner->release();
      return [](Napi::Env env) { return env.Undefined(); };
    };
    env.GetInstanceData<Jobs>()->start(1, std::move(computation), env.Undefined(), std::move(memory));
  });
  return env.Undefined();
}

}  // namespace deepzero
