// This process as one of the ranks that a launcher started: for JavaScript, which decides whether to join them.
#pragma once

#include <napi.h>

#include "kernels/kernels.hpp"
#include "ranks/leader.hpp"

namespace deepzero {

// The object `ranks` of the addon.
Napi::Object defineRanks(Napi::Env env, const Kernels& kernels);

// Through which computations are shared; null where there is one rank. For the compute thread.
Leader* leader();

}  // namespace deepzero
