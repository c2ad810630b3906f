// Every rank but 0.
#pragma once

#include "kernels/kernels.hpp"
#include "ranks/exchange.hpp"

namespace deepzero {

// Computes its part of what rank 0 commands, until that ends. It waits without burning a core. Throws RanksLost if the
// exchange fails.
void follow(Exchange& exchange, const Kernels& kernels);

}  // namespace deepzero
