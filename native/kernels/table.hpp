// Declares the kernels of one instruction set. Contracts: list.hpp.
#pragma once

#include "kernels/kernels.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

#define VALUE_KERNEL(result, name, parameters) \
  template <typename Scalar>                   \
  result name parameters;
#define KERNEL(result, name, parameters) result name parameters;
#include "kernels/list.hpp"

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
