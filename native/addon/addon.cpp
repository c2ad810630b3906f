// Registers the addon's whole surface, as lib/native/addon.ts types it.
#include <napi.h>

#include <cstdlib>
#include <string>

#include "addon/convert.hpp"
#include "addon/jobs/jobs.hpp"
#include "addon/measure.hpp"
#include "addon/network_object.hpp"
#include "addon/ranks/ranks.hpp"
#include "addon/rollouts_object.hpp"
#include "estimators/random.hpp"
#include "kernels/kernels.hpp"
#include "support/system.hpp"

// The package's version as one word, defined by both builds.
#define DEEPZERO_QUOTED(word) #word
#define DEEPZERO_STRING(word) DEEPZERO_QUOTED(word)

namespace deepzero {
namespace {

// The best instruction set, or the one that DEEPZERO_ISA forces.
const Kernels& chooseKernels(Napi::Env env) {
  const char* const* names = nullptr;
  const int count = supportedIsas(&names);
  const char* forced = std::getenv("DEEPZERO_ISA");
  const char* chosen = forced != nullptr && *forced != '\0' ? forced : names[0];
  if (const Kernels* kernels = findKernels(chosen)) return *kernels;

  std::string supported = names[0];
  for (int i = 1; i < count; ++i) supported.append(", ").append(names[i]);
  throw invalidArgument(env, "Expected DEEPZERO_ISA to be one of avx512, avx2, portable (supported here: " + supported +
                                 "), received \"" + chosen + "\"");
}

Napi::Value random(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto seed = static_cast<std::uint64_t>(toInteger(info[0], "seed", 0, kMaxSafeInteger));
  const auto stream = static_cast<std::uint32_t>(toInteger(info[1], "stream", 0, UINT32_MAX));
  const auto index = static_cast<std::uint32_t>(toInteger(info[2], "index", 0, UINT32_MAX));
  const auto offset = static_cast<std::uint64_t>(toInteger(info[3], "offset", 0, kMaxSafeInteger));
  const auto count = static_cast<std::size_t>(toInteger(info[4], "count", 0, INT32_MAX));

  Napi::Uint32Array words = Napi::Uint32Array::New(env, count);
  PhiloxBlock block{};
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t word = offset + i;
    if (i == 0 || word % 4 == 0) block = randomBlock(seed, stream, index, word / 4);
    words[i] = block[word % 4];
  }
  return words;
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  const Kernels& kernels = chooseKernels(env);
  // Threads of the compute pool outlive the worker that loaded the addon.
  keepLoaded();
  env.SetInstanceData(new Jobs(env));
  const char* const* names = nullptr;
  const int count = supportedIsas(&names);
  Napi::Array supported = Napi::Array::New(env, count);
  for (int i = 0; i < count; ++i) supported.Set(i, names[i]);

  exports.Set("version", DEEPZERO_STRING(DEEPZERO_VERSION));
  exports.Set("isa", kernels.isa);
  exports.Set("supportedIsas", supported);
  exports.Set("random", Napi::Function::New(env, random, "random"));
  exports.Set("runKernel", defineRunKernel(env, kernels));
  exports.Set("ranks", defineRanks(env, kernels));
  exports.Set("Network", NetworkObject::define(env, kernels));
  exports.Set("simulator", Napi::Function::New(env, simulatorSizes, "simulator"));
  exports.Set("Rollouts", RolloutsObject::define(env, kernels));
  return exports;
}

}  // namespace
}  // namespace deepzero

// The macro names its function in the global namespace.
static Napi::Object initialiseAddon(Napi::Env env, Napi::Object exports) { return deepzero::initialise(env, exports); }

NODE_API_MODULE(deepzero, initialiseAddon)
