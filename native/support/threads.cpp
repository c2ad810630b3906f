#include "support/threads.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace deepzero {

void tryThreads(int count) {
  // OpenMP has a pool for every thread that computes.
  static thread_local int most = 1;
  std::mutex mutex;
  std::condition_variable changed;
  bool over = false;
  std::vector<std::thread> threads;
  std::string problem;
  try {
    for (int i = most; i < count; ++i) {
      threads.emplace_back([&] {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [&] { return over; });
      });
    }
    most = std::max(most, count);
  } catch (const std::system_error& error) {
    problem = error.what();
  }
  {
    const std::lock_guard<std::mutex> lock(mutex);
    over = true;
  }
  changed.notify_all();
  for (std::thread& thread : threads) thread.join();
  if (problem.empty()) return;
  throw std::runtime_error(std::to_string(count) + " threads could not be started, ask for fewer: " + problem);
}

}  // namespace deepzero
