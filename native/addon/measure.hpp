// The JavaScript function that runs single kernels.
#pragma once

#include <napi.h>

#include "kernels/kernels.hpp"

namespace deepzero {

// runKernel(request), on these kernels.
Napi::Function defineRunKernel(Napi::Env env, const Kernels& kernels);

}  // namespace deepzero
