// The loop that every estimator shares: independent queries, taken by threads as they become free.
#pragma once

#include <omp.h>

#include <atomic>
#include <cstddef>
#include <mutex>

#include "network/problem.hpp"

namespace deepzero {

// Calls `query(thread, i)` for every i below `count`; a query returns whether to go on and must not throw. Throws
// Cancelled if the control says stop.
template <typename Query>
void runQueries(std::size_t count, const Control& control, Query query) {
  std::atomic<std::size_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex reporting;
  std::size_t done = 0;
#pragma omp parallel num_threads(control.threads)
  {
    const int thread = omp_get_thread_num();
    for (;;) {
      const std::size_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= count || failed.load(std::memory_order_relaxed) || control.stop()) break;
      if (!query(thread, i)) failed.store(true, std::memory_order_relaxed);
      if (control.progress) {
        const std::lock_guard<std::mutex> lock(reporting);
        control.progress(++done, count);
      }
    }
  }
  if (control.stop()) throw Cancelled();
}

}  // namespace deepzero
