#include "addon/measure.hpp"

#include "addon/convert.hpp"
#include "addon/jobs/start_job.hpp"
#include "measure/kernel_runs.hpp"

namespace deepzero {

namespace {

constexpr int kMaxKernelExtent = 1024;

struct KernelRequest : KernelRun {
  int threads = 1;
};

KernelRequest toKernelRun(Napi::Object from) {
  KernelRequest request;
  request.kernel = toChoice<KernelName>(from, "kernel",
                                        {{"multiplyAdds", KernelName::MultiplyAdds},
                                         {"convolution", KernelName::Convolution},
                                         {"winograd", KernelName::Winograd},
                                         {"activate", KernelName::Activate},
                                         {"activateChange", KernelName::ActivateChange},
                                         {"changeMoments", KernelName::ChangeMoments}});
  const auto extent = [&](const char* key) {
    return static_cast<int>(toInteger(from.Get(key), key, 1, kMaxKernelExtent));
  };
  request.channels = extent("channels");
  request.outputs = extent("outputs");
  request.size = extent("size");
  request.stride = extent("stride");
  request.calls = toInt(from, "calls", 1);
  request.threads = toThreads(from);
  if (request.kernel == KernelName::Winograd && !request.convolution().supportsWinograd()) {
    throw expected(from.Env(), "the shape", "one of stride 1 and whole tiles of 4×4 for Winograd");
  }
  return request;
}

}  // namespace

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
              result.Set("seconds", cost.seconds);
              return result;
            });
      },
      "runKernel");
}

}  // namespace deepzero
