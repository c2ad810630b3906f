// The JavaScript class Network: an engine, and its computations as jobs.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/jobs/jobs.hpp"
#include "kernels/kernels.hpp"
#include "runtime/engine.hpp"

namespace deepzero {

class NetworkObject : public Napi::ObjectWrap<NetworkObject> {
 public:
  // The class of networks that run on these kernels.
  static Napi::Function define(Napi::Env env, const Kernels& kernels);

  explicit NetworkObject(const Napi::CallbackInfo& info);

 private:
  // Starts a computation of kComputations as a job.
  template <typename RequestType>
  Napi::Value compute(const Napi::CallbackInfo& info);
  Napi::Value cost(const Napi::CallbackInfo& info);
  Napi::Value steps(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value release(const Napi::CallbackInfo& info);

  // Starts `convert(request).run(engine, control)` as a job.
  template <typename Convert>
  Napi::Value start(const Napi::CallbackInfo& info, Convert convert);

  // Shared with jobs, which may outlive this object. Other threads than the compute thread only read its graph and
  // plan, which never change.
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<ExternalMemory> memory_;  // of the engine's buffers
};

}  // namespace deepzero
