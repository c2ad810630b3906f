#include "ranks/follower.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ranks/commands/command.hpp"
#include "ranks/commands/message.hpp"
#include "ranks/commands/networks.hpp"
#include "ranks/commands/rollouts.hpp"
#include "ranks/commands/shares.hpp"
#include "ranks/waiting.hpp"
#include "rollouts/blocks.hpp"
#include "rollouts/rollouts.hpp"
#include "runtime/engine.hpp"
#include "support/threads.hpp"

namespace deepzero {

namespace {

constexpr std::chrono::duration<double> kForEver(0);

// What was made for a command, and is used again for the next one of the same.
template <typename T>
class Kept {
 public:
  // `key` tells what `make` makes from anything else.
  template <typename Make>
  T& get(std::string key, Make make) {
    if (!made_ || key != key_) {
      made_.reset();
      made_ = make();
      key_ = std::move(key);
    }
    return *made_;
  }

 private:
  std::unique_ptr<T> made_;
  std::string key_;
};

class Follower {
 public:
  Follower(Exchange& exchange, const Kernels& kernels)
      : exchange_(exchange), kernels_(kernels), rank_(exchange.rank()), ranks_(exchange.count()) {}

  // False after the last command.
  bool serveCommand() {
    const Numbers first = receive(Channel::Work, headLength(ranks_));
    MessageReader reader(*first);
    const auto head = reader.take<Head>();
    const std::uint64_t length = reader.takeArray<std::uint64_t>(ranks_)[rank_];
    if (head.command == Command::End) {
      waitFor(*exchange_.gather(std::make_shared<std::vector<double>>(1), {}, nullptr), kForEver);
      return false;
    }
    const Numbers message = receive(Channel::Work, head.length);
    const Numbers signal = std::make_shared<std::vector<double>>(sizeof(Signal) / sizeof(double));
    const std::unique_ptr<Pending> signalled = exchange_.broadcast(Channel::Signal, signal);
    std::atomic<bool> stopped{false};
    std::exception_ptr broken;  // by MPI, while threads compute
    Control control;
    control.threads = static_cast<int>(head.threads);
    control.cancelled = &stopped;
    control.poll = [&] {
      try {
        if (!stopped && signalled->done()) stopped = MessageReader(*signal).take<Signal>() == Signal::Stop;
      } catch (...) {
        broken = std::current_exception();
        stopped = true;
      }
    };
    Part part = attempt<Part>([&](Part& own) {
      tryThreads(control.threads);
      own = compute(head.command, message, control);
    });
    if (broken) std::rethrow_exception(broken);
    part.numbers.resize(length);
    MessageWriter answer;
    answer.put(part.outcome);
    answer.put(part.numbers.data(), part.numbers.size());
    const Numbers mine = std::make_shared<std::vector<double>>(answer.take());
    waitFor(*exchange_.gather(mine, {}, nullptr), kForEver);
    waitFor(*signalled, kForEver);
    return true;
  }

 private:
  Numbers receive(Channel channel, std::size_t length) {
    Numbers numbers = std::make_shared<std::vector<double>>(length);
    waitFor(*exchange_.broadcast(channel, numbers), kForEver);
    return numbers;
  }

  // This rank's part.
  Part compute(Command command, const Numbers& message, const Control& control) {
    switch (command) {
      case Command::End: return {};
      case Command::Coordinates: return coordinates(message, control);
      case Command::Directions: return directions(message, control);
      case Command::Sum: return sum(message, control);
      case Command::CoordinateOutputs: return outputs(message, takeCoordinatewise, control);
      case Command::DirectionOutputs: return outputs(message, takeRandomized, control);
      case Command::CoordinateRollouts: return rollOut(message, takeCoordinatewise, control);
      case Command::DirectionRollouts: return rollOut(message, takeRandomized, control);
    }
    throw std::runtime_error("rank 0 sends an unknown command");
  }

  Part coordinates(const Numbers& message, const Control& control) {
    MessageReader reader(*message);
    Engine& engine = engineFor(reader, message);
    const CoordinatewiseOptions options = takeCoordinatewise(reader);
    return computeCoordinates(engine, problem_, options, sharesOf(engine, options, ranks_)[rank_], control);
  }

  Part directions(const Numbers& message, const Control& control) {
    MessageReader reader(*message);
    Engine& engine = engineFor(reader, message);
    const RandomizedOptions options = takeRandomized(reader);
    return computeDirections(engine, problem_, options, rangeOf(options.queries, rank_, ranks_), control);
  }

  template <typename TakeOptions>
  Part outputs(const Numbers& message, TakeOptions takeOptions, const Control& control) {
    MessageReader reader(*message);
    Engine& engine = engineFor(reader, message);
    const auto options = takeOptions(reader);
    const auto whole = reader.take<Range>();
    const auto mark = reader.take<std::uint64_t>();
    Range own = rangeOf(whole.count, rank_, ranks_);
    own.first += whole.first;
    return computeOutputs(engine, problem_, options, own, mark, control);
  }

  Part sum(const Numbers& message, const Control& control) {
    MessageReader reader(*message);
    const Graph graph = takeGraph(reader);
    const RandomizedOptions options = takeRandomized(reader);
    const double* const slopes = reader.takeArray<double>(options.queries);
    const double* const factors = reader.takeArray<double>(options.queries * graph.parameters().size());
    return computeSum(graph, options, slopes, factors, parametersOf(graph, rank_, ranks_), control);
  }

  template <typename TakeOptions>
  Part rollOut(const Numbers& message, TakeOptions takeOptions, const Control& control) {
    MessageReader reader(*message);
    const RolloutsPlan plan = takeRollouts(reader);
    Rollouts& rollouts = rollouts_.get(reader.taken(), [&] { return plan.make(kernels_); });
    const RolloutProblem problem = takeProblem(reader, rollouts);
    const auto options = takeOptions(reader);
    const Range own = lossShares(rowOf(options, problem.count), ranks_)[rank_];
    if (own.count == 0) return {};
    return computeLosses(rollouts, problem, options, own, 1, control);
  }

  // The network's engine; the problem becomes that of the message, if it has one.
  Engine& engineFor(MessageReader& reader, const Numbers& message) {
    Graph graph = takeGraph(reader);
    Engine& engine = engine_.get(reader.taken(), [&] { return std::make_unique<Engine>(std::move(graph), kernels_); });
    if (reader.take<std::uint64_t>() != 0) {
      problem_ = takeProblem(reader, engine.graph());
      problemMessage_ = message;
      // Marks are those of a model, and several models may have this network.
      engine.forget();
    }
    return engine;
  }

  Exchange& exchange_;
  const Kernels& kernels_;
  const int rank_, ranks_;
  Problem problem_;         // of the last command that had one,
  Numbers problemMessage_;  // which holds its arrays
  Kept<Engine> engine_;
  Kept<Rollouts> rollouts_;
};

}  // namespace

void follow(Exchange& exchange, const Kernels& kernels) {
  Follower follower(exchange, kernels);
  while (follower.serveCommand()) {
  }
}

}  // namespace deepzero
