#include "addon/ranks/ranks.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "addon/convert.hpp"
#include "addon/jobs/compute_thread.hpp"
#include "addon/jobs/start_job.hpp"
#include "mpi/mpi_exchange.hpp"
#include "ranks/commands/message.hpp"
#include "ranks/follower.hpp"
#include "ranks/waiting.hpp"

namespace deepzero {

namespace {

using Seconds = std::chrono::duration<double>;

// Bytes of the text by which ranks agree; texts that are longer lose their end.
constexpr std::size_t kText = 512;
// Enough for ever, and few enough to count in nanoseconds.
constexpr double kMostSeconds = 1e9;
// How long MPI may take to end.
constexpr Seconds kFinish(10);

// For the compute thread, which calls MPI until the process ends.
struct Ranks {
  std::atomic<int> count{1};              // that share estimates; for every thread
  std::unique_ptr<MpiExchange> exchange;  // null before the start and after the end
  std::unique_ptr<Leader> leader;
  Seconds patience{0};
};

// Never destroyed: the compute thread may use it until the process ends.
Ranks& ranks() {
  static Ranks& own = *new Ranks;
  return own;
}

MpiExchange& joined() {
  if (!ranks().exchange) throw std::runtime_error("Expected this process to be one of several ranks");
  return *ranks().exchange;
}

class Call : public Task {
 public:
  explicit Call(std::function<void()> body) : body_(std::move(body)) {}

  void run() override {
    try {
      body_();
      done_.set_value();
    } catch (...) {
      done_.set_exception(std::current_exception());
    }
  }

  // Rethrows what the call threw.
  void wait() { future_.get(); }
  // The same, or false if it takes longer.
  bool wait(Seconds most) {
    if (future_.wait_for(most) != std::future_status::ready) return false;
    wait();
    return true;
  }

 private:
  std::function<void()> body_;
  std::promise<void> done_;
  std::future<void> future_ = done_.get_future();
};

// Calls `body` on the compute thread after what it has to do, and waits.
void onComputeThread(std::function<void()> body) {
  const auto call = std::make_shared<Call>(std::move(body));
  ComputeThread::instance().post(call);
  call->wait();
}

// Undefined if the other ranks do not come.
Napi::Value start(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return withClearErrors(env, [&]() -> Napi::Value {
    if (!info[0].IsString()) throw expected(env, "library", "a string");
    const std::string library = info[0].As<Napi::String>().Utf8Value();
    const double patience = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : -1;
    if (!(patience >= 0 && patience <= kMostSeconds)) throw expected(env, "patience", "a number of seconds");
    const auto starting = std::make_shared<Call>([library, patience] {
      if (ranks().exchange) throw std::runtime_error("This process has joined other ranks before");
      ranks().exchange = MpiExchange::start(library);
      ranks().patience = Seconds(patience);
    });
    ComputeThread::instance().post(starting);
    if (!starting->wait(Seconds(patience))) {
      // The compute thread may stay in MPI for ever.
      std::atexit([] { std::_Exit(EXIT_FAILURE); });
      return env.Undefined();
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("rank", ranks().exchange->rank());
    result.Set("count", ranks().exchange->count());
    result.Set("library", ranks().exchange->library());
    return result;
  });
}

// Every rank's text, on every rank.
Napi::Value agree(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return withClearErrors(env, [&] {
    if (!info[0].IsString()) throw expected(env, "text", "a string");
    std::string text = info[0].As<Napi::String>().Utf8Value();
    text.resize(kText);
    std::vector<std::string> texts;
    onComputeThread([&] {
      MpiExchange& exchange = joined();
      MessageWriter own;
      own.put(text.data(), text.size());
      const std::size_t length = own.numbers().size();
      const std::vector<std::size_t> counts(exchange.count(), length);
      const auto all = std::make_shared<std::vector<double>>(length * counts.size());
      const auto mine = std::make_shared<std::vector<double>>(own.numbers());
      waitFor(*exchange.gather(mine, counts, all), ranks().patience);
      waitFor(*exchange.broadcast(Channel::Work, all), ranks().patience);
      MessageReader reader(*all);
      for (int rank = 0; rank < exchange.count(); ++rank) {
        const char* const from = reader.takeArray<char>(kText);
        texts.emplace_back(from, std::find(from, from + kText, '\0'));
      }
    });
    Napi::Array result = Napi::Array::New(env, texts.size());
    for (std::uint32_t i = 0; i < texts.size(); ++i) result.Set(i, texts[i]);
    return result;
  });
}

// Of rank 0: estimates are shared from now on.
Napi::Value lead(const Napi::CallbackInfo& info) {
  return withClearErrors(info.Env(), [&] {
    onComputeThread([] {
      if (joined().rank() != 0) throw std::runtime_error("Rank 0 alone leads");
      ranks().leader = std::make_unique<Leader>(joined(), ranks().patience);
      ranks().count = joined().count();
    });
    return info.Env().Undefined();
  });
}

// Of the others: computes what rank 0 wants until that leaves.
Napi::Value follow(const Napi::CallbackInfo& info, const Kernels& kernels) {
  return withClearErrors(info.Env(), [&] {
    onComputeThread([&] { deepzero::follow(joined(), kernels); });
    return info.Env().Undefined();
  });
}

Napi::Value count(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), ranks().count); }

// Cancels what is computed, and leaves; false if the other ranks were lost before.
Napi::Value leave(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return withClearErrors(env, [&] {
    static int exitCode;
    exitCode = static_cast<int>(toInteger(info[0], "code", 0, 255));
    bool lost = false;
    const auto ending = std::make_shared<Call>([&] {
      if (!ranks().leader) return;
      ranks().leader->end();
      lost = ranks().leader->lost();
    });
    ComputeThread::instance().preempt(ending);
    ending->wait();
    if (lost) return Napi::Boolean::New(env, false);
    const auto finishing = std::make_shared<Call>([] {
      if (ranks().exchange) ranks().exchange->finish();
      ranks().leader.reset();
      ranks().exchange.reset();
    });
    ComputeThread::instance().post(finishing);
    // All is done but for MPI's own end, in which some versions wait for each other for ever.
    if (!finishing->wait(kFinish)) std::atexit([] { std::_Exit(exitCode); });
    return Napi::Boolean::New(env, true);
  });
}

// Lets the end of this process end all other ranks too.
Napi::Value abortAtExit(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return withClearErrors(env, [&] {
    static int exitCode;
    exitCode = static_cast<int>(toInteger(info[0], "code", 1, 255));
    // Later than JavaScript: Node prints an uncaught error after its last event.
    std::atexit([] {
      if (ranks().exchange) ranks().exchange->abort(exitCode);
    });
    return env.Undefined();
  });
}

}  // namespace

Leader* leader() { return ranks().leader.get(); }

Napi::Object defineRanks(Napi::Env env, const Kernels& kernels) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("start", Napi::Function::New(env, start, "start"));
  result.Set("agree", Napi::Function::New(env, agree, "agree"));
  result.Set("lead", Napi::Function::New(env, lead, "lead"));
  result.Set("follow",
             Napi::Function::New(
                 env, [&kernels](const Napi::CallbackInfo& info) { return follow(info, kernels); }, "follow"));
  result.Set("count", Napi::Function::New(env, count, "count"));
  result.Set("leave", Napi::Function::New(env, leave, "leave"));
  result.Set("abortAtExit", Napi::Function::New(env, abortAtExit, "abortAtExit"));
  return result;
}

}  // namespace deepzero
