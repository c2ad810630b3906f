// Starts a job for a call from JavaScript: converts the request at once and the result at the end, and gives every
// error a code.
#pragma once

#include <napi.h>

#include <exception>
#include <memory>
#include <utility>

#include "addon/convert.hpp"
#include "addon/jobs/jobs.hpp"
#include "estimators/query_work.hpp"

namespace deepzero {

inline Napi::Object toObject(Napi::Env env, const Work& work) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("done", work.done);
  result.Set("direct", work.direct);
  return result;
}

// Converts any exception of the body to an error with a code and a message.
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

// Starts `compute(convert(request), control)` as a job; `deliver(env, result)` converts its result. A converted request
// has `threads`. The call's second argument receives progress; `memory` counts the buffers that the job leaves.
template <typename Convert, typename Compute, typename Deliver>
Napi::Value startJob(const Napi::CallbackInfo& info, Convert convert, Compute compute, Deliver deliver,
                     std::shared_ptr<ExternalMemory> memory = nullptr) {
  return withClearErrors(info.Env(), [&] {
    if (!info[0].IsObject()) throw invalidArgument(info.Env(), "Expected the request to be an object");
    using Requested = decltype(convert(info[0].As<Napi::Object>()));
    const auto request = std::make_shared<const Requested>(convert(info[0].As<Napi::Object>()));
    Computation computation = [compute, deliver, request](const Control& control) -> Delivery {
      auto result = std::make_shared<const decltype(compute(*request, control))>(compute(*request, control));
      return [deliver, result](Napi::Env env) { return deliver(env, *result); };
    };
    return info.Env().GetInstanceData<Jobs>()->start(request->threads, std::move(computation), info[1],
                                                     std::move(memory));
  });
}

}  // namespace deepzero
