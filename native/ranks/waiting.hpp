// Waiting for other ranks.
#pragma once

#include <chrono>
#include <functional>

#include "ranks/exchange.hpp"

namespace deepzero {

// Waits until an operation is done, or `leave`, which is asked again and again, says not to: then it is false. It
// sleeps rather than spins: the ranks may share cores. Throws RanksLost once it has waited for `patience`; zero waits
// for ever.
bool waitFor(Pending& pending, std::chrono::duration<double> patience, const std::function<bool()>& leave = nullptr);

}  // namespace deepzero
