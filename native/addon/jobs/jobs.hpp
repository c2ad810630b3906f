// The jobs of a Node environment (the main thread's or a worker's). A job holds plain data only; all handles into
// JavaScript are kept here, with the environment. When that ends, its jobs are cancelled and waited for. A promise
// settles only after the compute thread has finished with its job.
#pragma once

#include <napi.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <unordered_map>

#include "support/control.hpp"

namespace deepzero {

// Converts a result to a JavaScript value, on the event loop.
using Delivery = std::function<Napi::Value(Napi::Env)>;
// Computes a result, on the compute thread. An exception rejects the promise.
using Computation = std::function<Delivery(const Control&)>;

// Native memory that a JavaScript object keeps. V8 is told of it: it collects dropped objects by the memory that they
// seem to take. For the environment's thread alone.
class ExternalMemory {
 public:
  explicit ExternalMemory(Napi::Env env) : env_(env) {}
  ExternalMemory(const ExternalMemory&) = delete;
  ~ExternalMemory() { add(-bytes_); }

  void add(std::ptrdiff_t bytes);

 private:
  Napi::Env env_;
  std::ptrdiff_t bytes_ = 0;
};

class Jobs {
 public:
  explicit Jobs(Napi::Env env);
  Jobs(const Jobs&) = delete;

  // Starts a job and returns `{ promise, cancel() }`. `progress` is a function or undefined; if it throws, the job is
  // cancelled and rejects with what was thrown. Aligned memory that the job leaves allocated, or frees, counts in
  // `memory`. The process stays alive until the promise has settled.
  Napi::Object start(int threads, Computation computation, Napi::Value progress,
                     std::shared_ptr<ExternalMemory> memory);

 private:
  class Job;
  struct Message;
  struct Pending {
    std::shared_ptr<Job> job;
    Napi::Promise::Deferred deferred;
    std::shared_ptr<ExternalMemory> memory;
    bool settled = false;
  };

  static void receive(Napi::Env env, Napi::Function progress, std::nullptr_t* context, Message* message);
  using Channel = Napi::TypedThreadSafeFunction<std::nullptr_t, Message, receive>;

  void cancel(const std::shared_ptr<Job>& job);
  void report(Pending& pending, Napi::Function progress, const Message& message);
  void finish(Pending& pending, const Message& message);
  void cancelAll();

  Napi::Env env_;
  std::unordered_map<const Job*, Pending> pending_;
};

}  // namespace deepzero
