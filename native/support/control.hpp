// How a long computation is run, watched and stopped, and the errors that end one.
#pragma once

#include <omp.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>

namespace deepzero {

// `progress` is called from a compute thread, one call at a time. `poll` is called on the thread that runs the
// computation whenever that asks whether to stop: it may set `cancelled`, and must not throw, for it may be called
// where threads compute.
struct Control {
  int threads = 1;
  const std::atomic<bool>* cancelled = nullptr;
  std::function<void(std::size_t done, std::size_t total)> progress;
  std::function<void()> poll;

  bool stop() const {
    if (poll && omp_get_thread_num() == 0) poll();
    return cancelled != nullptr && cancelled->load(std::memory_order_relaxed);
  }
};

// Thrown by a computation that stopped because Control::cancelled became true.
struct Cancelled : std::runtime_error {
  Cancelled() : std::runtime_error("cancelled") {}
};

// Thrown when a loss is NaN or infinite.
struct NonFinite : std::runtime_error {
  // A flat parameter index (CGE), a query's number (RGE), or −1 for the unperturbed loss.
  long long coordinate;
  explicit NonFinite(long long at, const std::string& what = "the loss is not finite")
      : std::runtime_error(what), coordinate(at) {}
};

}  // namespace deepzero
