// Single kernels as a function of JavaScript's.
#pragma once

#include <napi.h>

#include "kernels/kernels.hpp"

namespace deepzero {

// runKernel(request), whose kernels are these.
Napi::Function defineRunKernel(Napi::Env env, const Kernels& kernels);

}  // namespace deepzero
