// The loop that all estimators share: threads take independent queries as they become free.
#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>

#include "support/control.hpp"

namespace deepzero {

// Calls `query(thread, i)` for every i below `count` until one returns false; returns the smallest i that did, or
// `count`. Rethrows an exception of a query or of the progress callback; throws Cancelled if the control says stop.
template <typename Query>
std::size_t runQueries(std::size_t count, const Control& control, Query query) {
  std::atomic<std::size_t> next{0};
  std::atomic<bool> over{false};
  std::mutex reporting;
  std::exception_ptr thrown;
  std::size_t done = 0, failed = count;
#pragma omp parallel num_threads(control.threads)
  {
    const int thread = omp_get_thread_num();
    while (!over.load(std::memory_order_relaxed) && !control.stop()) {
      const std::size_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= count) break;
      try {
        const bool finished = query(thread, i);
        if (finished && !control.progress) continue;
        const std::lock_guard<std::mutex> lock(reporting);
        if (control.progress) control.progress(++done, count);
        if (finished) continue;
        // Indices are taken in order, and every index taken is finished, so the smallest does not depend on timing.
        failed = std::min(failed, i);
      } catch (...) {
        // No exception may leave a parallel region.
        const std::lock_guard<std::mutex> lock(reporting);
        thrown = std::current_exception();
      }
      over.store(true, std::memory_order_relaxed);
    }
  }
  if (control.stop()) throw Cancelled();
  if (thrown) std::rethrow_exception(thrown);
  return failed;
}

}  // namespace deepzero
