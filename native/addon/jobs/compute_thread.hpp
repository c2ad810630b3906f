// The process-wide compute thread and its queue. There is only one, because OpenMP keeps a pool of threads for every
// thread that opens a parallel region.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

namespace deepzero {

// A task of the compute thread. `run` must not throw, and should return soon after `cancelled` is set.
struct Task {
  virtual ~Task() = default;
  virtual void run() = 0;

  std::atomic<bool> cancelled{false};
};

class ComputeThread {
 public:
  static ComputeThread& instance();

  // Runs the task after all that were posted before it. The thread starts with the first; if it cannot, this throws and
  // the task is not taken.
  void post(std::shared_ptr<Task> task);

  // The same, after cancelling all that were posted before it.
  void preempt(std::shared_ptr<Task> task);

  // Removes a task from the queue; false if it has begun or is unknown.
  bool withdraw(const Task& task);

  // Returns once the task is not running.
  void wait(const Task& task);

 private:
  ComputeThread() = default;
  // At exit the running task is cancelled and waited for: it may not outlive what it uses.
  ~ComputeThread();

  void loop();
  // Under the lock.
  void enqueue(std::shared_ptr<Task> task);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Task>> queue_;
  std::shared_ptr<Task> running_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace deepzero
