#include "addon/jobs/jobs.hpp"

#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "addon/convert.hpp"
#include "addon/jobs/compute_thread.hpp"
#include "support/aligned.hpp"
#include "support/threads.hpp"

namespace deepzero {

namespace {

constexpr std::chrono::milliseconds kProgressInterval(50);

// How a job ended: a result, or an error if `failed`.
struct Outcome {
  bool failed = false;
  Delivery value;
};

Outcome failure(std::string code, std::string message, std::optional<long long> coordinate = {}) {
  return {true, [=](Napi::Env env) -> Napi::Value {
            Napi::Error error = Napi::Error::New(env, message);
            error.Set("code", code);
            if (coordinate) error.Set("coordinate", static_cast<double>(*coordinate));
            return error.Value();
          }};
}

Outcome cancellation() { return failure("DEEPZERO_CANCELLED", "The job was cancelled"); }

Outcome attempt(const Computation& computation, const Control& control) {
  if (control.stop()) return cancellation();
  try {
    tryThreads(control.threads);
    return {false, computation(control)};
  } catch (const Cancelled&) {
    return cancellation();
  } catch (const NonFinite& error) {
    return failure("DEEPZERO_NON_FINITE", error.what(), error.coordinate);
  } catch (const std::exception& error) {
    return failure(kNativeCode, messageOf(error));
  }
}

}  // namespace

// From the compute thread to the event loop.
struct Jobs::Message {
  const Job* job = nullptr;
  std::size_t done = 0, total = 0;
  // Set in the last message.
  std::optional<Outcome> outcome;
  std::ptrdiff_t memory = 0;  // aligned bytes allocated by the job, less those freed
};

void ExternalMemory::add(std::ptrdiff_t bytes) {
  bytes_ += bytes;
  std::int64_t total = 0;
  // Fails only where there is no heap left to be told.
  napi_adjust_external_memory(env_, bytes, &total);
}

class Jobs::Job : public Task {
 public:
  Job(int threads, Computation computation, Channel channel)
      : threads_(threads), computation_(std::move(computation)), channel_(channel) {}

  void run() override {
    Control control;
    control.threads = threads_;
    control.cancelled = &cancelled;
    control.progress = [this](std::size_t done, std::size_t total) {
      const auto now = std::chrono::steady_clock::now();
      if (now - reported_ < kProgressInterval) return;
      reported_ = now;
      send({this, done, total, {}, 0});
    };
    const std::ptrdiff_t before = alignedBytes();
    Message last{this, 0, 0, attempt(computation_, control), 0};
    // What it held is freed here: the event loop waits for what is left of this function.
    computation_ = nullptr;
    last.memory = alignedBytes() - before;
    send(std::move(last));
  }

  // Called on the event loop once the job does not run: it no longer keeps the process alive.
  void close() {
    if (open_) channel_.Release();
    open_ = false;
  }

 private:
  void send(Message message) {
    if (!open_) return;
    auto owned = std::make_unique<Message>(std::move(message));
    if (channel_.NonBlockingCall(owned.get()) == napi_ok) {
      owned.release();
    } else {
      // The environment is ending and has taken the channel back.
      open_ = false;
    }
  }

  int threads_;
  Computation computation_;
  Channel channel_;
  bool open_ = true;
  std::chrono::steady_clock::time_point reported_ = std::chrono::steady_clock::now();
};

Jobs::Jobs(Napi::Env env) : env_(env) {
  env.AddCleanupHook([this] { cancelAll(); });
}

Napi::Object Jobs::start(int threads, Computation computation, Napi::Value progress,
                         std::shared_ptr<ExternalMemory> memory) {
  Channel channel = progress.IsFunction() ? Channel::New(env_, progress.As<Napi::Function>(), "deepzero job", 0, 1)
                                          : Channel::New(env_, "deepzero job", 0, 1);
  auto job = std::make_shared<Job>(threads, std::move(computation), channel);
  const auto deferred = Napi::Promise::Deferred::New(env_);
  try {
    ComputeThread::instance().post(job);
  } catch (...) {
    job->close();
    throw;
  }
  pending_.emplace(job.get(), Pending{job, deferred, std::move(memory)});

  Napi::Object handle = Napi::Object::New(env_);
  handle.Set("promise", deferred.Promise());
  handle.Set("cancel", Napi::Function::New(
                           env_, [this, weak = std::weak_ptr(job)](const Napi::CallbackInfo&) { cancel(weak.lock()); },
                           "cancel"));
  return handle;
}

void Jobs::cancel(const std::shared_ptr<Job>& job) {
  if (!job) return;
  job->cancelled = true;
  if (!ComputeThread::instance().withdraw(*job)) return;
  finish(pending_.at(job.get()), {job.get(), 0, 0, cancellation(), 0});
}

// Called on the event loop, or with a null environment for messages that arrive after the environment has ended.
void Jobs::receive(Napi::Env env, Napi::Function progress, std::nullptr_t*, Message* message) {
  const std::unique_ptr<Message> owned(message);
  if (static_cast<napi_env>(env) == nullptr) return;
  Jobs& jobs = *env.GetInstanceData<Jobs>();
  Pending& pending = jobs.pending_.at(message->job);
  if (message->outcome) {
    jobs.finish(pending, *message);
  } else {
    jobs.report(pending, progress, *message);
  }
}

void Jobs::report(Pending& pending, Napi::Function progress, const Message& message) {
  if (progress.IsEmpty() || pending.settled) return;
  try {
    progress.Call({Napi::Number::New(env_, static_cast<double>(message.done)),
                   Napi::Number::New(env_, static_cast<double>(message.total))});
  } catch (const Napi::Error& error) {
    pending.settled = true;
    pending.job->cancelled = true;
    pending.deferred.Reject(error.Value());
  }
}

void Jobs::finish(Pending& pending, const Message& message) {
  const Pending owned = std::move(pending);
  pending_.erase(message.job);
  // The last message arrives before the call that sent it has returned, and until then that call uses the channel.
  ComputeThread::instance().wait(*owned.job);
  owned.job->close();
  if (owned.memory) owned.memory->add(message.memory);
  if (owned.settled) return;
  try {
    const Napi::Value value = message.outcome->value(env_);
    message.outcome->failed ? owned.deferred.Reject(value) : owned.deferred.Resolve(value);
  } catch (const Napi::Error& error) {
    owned.deferred.Reject(error.Value());
  } catch (const std::exception& error) {
    owned.deferred.Reject(nativeError(env_, error).Value());
  }
}

void Jobs::cancelAll() {
  for (auto& entry : pending_) entry.second.job->cancelled = true;
  for (auto& entry : pending_) {
    Job& job = *entry.second.job;
    if (!ComputeThread::instance().withdraw(job)) ComputeThread::instance().wait(job);
    job.close();
  }
  pending_.clear();
}

}  // namespace deepzero
