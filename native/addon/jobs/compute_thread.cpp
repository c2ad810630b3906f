#include "addon/jobs/compute_thread.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace deepzero {

ComputeThread& ComputeThread::instance() {
  static ComputeThread thread;
  return thread;
}

ComputeThread::~ComputeThread() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    queue_.clear();
    if (running_) running_->cancelled = true;
  }
  changed_.notify_all();
  if (!thread_.joinable()) return;
  // MPI may end the process from within a call.
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

void ComputeThread::post(std::shared_ptr<Task> task) {
  const std::lock_guard<std::mutex> lock(mutex_);
  enqueue(std::move(task));
}

void ComputeThread::preempt(std::shared_ptr<Task> task) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (running_) running_->cancelled = true;
  for (const auto& queued : queue_) queued->cancelled = true;
  enqueue(std::move(task));
}

void ComputeThread::enqueue(std::shared_ptr<Task> task) {
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread(&ComputeThread::loop, this);
    } catch (const std::system_error& error) {
      throw std::runtime_error(std::string("The compute thread could not be started: ") + error.what());
    }
  }
  queue_.push_back(std::move(task));
  changed_.notify_all();
}

bool ComputeThread::withdraw(const Task& task) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found =
      std::find_if(queue_.begin(), queue_.end(), [&](const auto& queued) { return queued.get() == &task; });
  if (found == queue_.end()) return false;
  queue_.erase(found);
  return true;
}

void ComputeThread::wait(const Task& task) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return running_.get() != &task; });
}

void ComputeThread::loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    running_ = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    running_->run();
    lock.lock();
    // What a task holds is freed outside the lock.
    std::shared_ptr<Task> finished = std::move(running_);
    changed_.notify_all();
    lock.unlock();
    finished.reset();
    lock.lock();
  }
}

}  // namespace deepzero
