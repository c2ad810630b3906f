// The loop that all estimators share.
#include "estimators/queries.hpp"

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "harness.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

TEST("queries: each runs once, on a thread that exists") {
  for (const int count : {1, 2, 3}) {
    std::vector<std::atomic<int>> calls(50);
    std::atomic<bool> inRange{true};
    const std::size_t failed = runQueries(calls.size(), threads(count), [&](int thread, std::size_t i) {
      if (thread < 0 || thread >= count) inRange = false;
      ++calls[i];
      return true;
    });
    CHECK(failed == calls.size() && inRange);
    for (const std::atomic<int>& number : calls) CHECK(number == 1);
  }
}

TEST("queries: of several that fail, the smallest is reported, whichever fails first") {
  for (const std::size_t first : {std::size_t{0}, std::size_t{1}}) {
    std::atomic<int> started{0};
    std::atomic<bool> recorded{false};
    Control control = threads(2);
    // Called with the lock under which the first failure is recorded: the second waits for the lock.
    control.progress = [&](std::size_t, std::size_t) { recorded = true; };
    const std::size_t failed = runQueries(2, control, [&](int, std::size_t i) {
      ++started;
      const bool alone = omp_get_num_threads() == 1;
      while (!alone && (started < 2 || (i != first && !recorded))) std::this_thread::yield();
      return false;
    });
    CHECK(failed == 0);
  }
}

TEST("queries: an exception of one is rethrown, and no more queries start") {
  for (const int count : {1, 2}) {
    std::atomic<int> started{0};
    CHECK_THROWS(std::out_of_range, runQueries(1000, threads(count), [&](int, std::size_t i) {
                   ++started;
                   if (i == 3) throw std::out_of_range("query");
                   return true;
                 }));
    CHECK(count > 1 || started == 4);
  }
}

}  // namespace
}  // namespace deepzero::test
