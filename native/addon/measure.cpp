#include "addon/measure.hpp"

#include "addon/start_job.hpp"
#include "measure/kernel_runs.hpp"

namespace deepzero {

Napi::Function defineRunKernel(Napi::Env env, const Kernels& kernels) {
  return Napi::Function::New(
      env,
      [&kernels](const Napi::CallbackInfo& info) {
        return startJob(
            info, toKernelRun,
            [&kernels](const KernelRequest& request, const Control& control) {
              return runKernel(kernels, request, control);
            },
            [](Napi::Env env, const KernelCost& cost) {
              Napi::Object result = toObject(env, cost.work);
              result.Set("bytes", cost.bytes);
              return result;
            });
      },
      "runKernel");
}

}  // namespace deepzero
