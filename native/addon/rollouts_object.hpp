// The JavaScript class Rollouts: a network and a simulator, and the computations of their rollouts as jobs.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/jobs/jobs.hpp"
#include "rollouts/rollouts.hpp"

namespace deepzero {

class RolloutsObject : public Napi::ObjectWrap<RolloutsObject> {
 public:
  // The class of rollouts whose networks run on these kernels.
  static Napi::Function define(Napi::Env env, const Kernels& kernels);

  explicit RolloutsObject(const Napi::CallbackInfo& info);

 private:
  template <typename RequestType>
  Napi::Value compute(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value release(const Napi::CallbackInfo& info);

  // Shared with jobs, which may outlive this object. Other threads than the compute thread only read its graph and the
  // sizes, which never change.
  std::shared_ptr<Rollouts> rollouts_;
  std::shared_ptr<ExternalMemory> memory_;  // of the threads' buffers
};

// Receives a path and a config; returns how many numbers the simulator's arrays have.
Napi::Value simulatorSizes(const Napi::CallbackInfo& info);

}  // namespace deepzero
