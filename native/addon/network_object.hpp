// The JavaScript class Network: an engine, and its computations as jobs.
#pragma once

#include <napi.h>

#include <memory>

#include "kernels/kernels.hpp"
#include "runtime/engine.hpp"

namespace deepzero {

class NetworkObject : public Napi::ObjectWrap<NetworkObject> {
 public:
  // The class, whose networks run on these kernels.
  static Napi::Function define(Napi::Env env, const Kernels& kernels);

  explicit NetworkObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value evaluate(const Napi::CallbackInfo& info);
  Napi::Value gradient(const Napi::CallbackInfo& info);
  Napi::Value coordinatewise(const Napi::CallbackInfo& info);
  Napi::Value randomized(const Napi::CallbackInfo& info);
  Napi::Value reference(const Napi::CallbackInfo& info);
  Napi::Value cost(const Napi::CallbackInfo& info);
  Napi::Value steps(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value release(const Napi::CallbackInfo& info);

  // Shared with jobs, which may outlive this object. Only the compute thread uses it, but for its graph and
  // plan, which nothing changes.
  std::shared_ptr<Engine> engine_;
};

}  // namespace deepzero
