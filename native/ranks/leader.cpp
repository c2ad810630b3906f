#include "ranks/leader.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "ranks/commands/networks.hpp"
#include "ranks/commands/rollouts.hpp"
#include "ranks/commands/shares.hpp"
#include "ranks/waiting.hpp"
#include "rollouts/blocks.hpp"

namespace deepzero {

namespace {

using Seconds = std::chrono::duration<double>;

Numbers numbersOf(std::vector<double> numbers) { return std::make_shared<std::vector<double>>(std::move(numbers)); }

// Reports this rank's queries as its part of all.
Control scaled(const Control& control, std::size_t own, std::size_t all) {
  Control result = control;
  if (!control.progress || own == 0) return result;
  result.progress = [progress = control.progress, own, all](std::size_t done, std::size_t) {
    progress(done * all / own, all);
  };
  return result;
}

// A failure after which no other rank's part matters.
bool isFinal(const Outcome& outcome) { return outcome.status != Status::Done && outcome.query < 0; }

// Throws what keeps the ranks' parts from being one result. `order` puts queries in that of a single process.
template <typename Order>
void require(const std::vector<Outcome>& outcomes, const std::exception_ptr& own, Order order) {
  if (isFinal(outcomes[0])) std::rethrow_exception(own);
  std::vector<long long> queries;
  int other = 0;  // whose unperturbed evaluation is another one
  for (std::size_t rank = 0; rank < outcomes.size(); ++rank) {
    const Outcome& outcome = outcomes[rank];
    if (outcome.status == Status::Failed || outcome.status == Status::Stopped) {
      throw std::runtime_error("rank " + std::to_string(rank) + " failed: " + outcome.reason);
    }
    const bool areCompared = outcome.digest != 0 && outcomes[0].digest != 0;
    const bool isOther = isFinal(outcome) || (areCompared && outcome.digest != outcomes[0].digest);
    if (isOther && other == 0) other = static_cast<int>(rank);
    if (outcome.status == Status::NonFinite) queries.push_back(outcome.query);
  }
  if (other > 0) {
    throw std::runtime_error("rank " + std::to_string(other) +
                             " computes another unperturbed loss than rank 0 from the same numbers: compare their C "
                             "libraries and processors, then their memory");
  }
  if (!queries.empty()) throw NonFinite(*std::min_element(queries.begin(), queries.end(), order));
}

}  // namespace

void Leader::post(Command command, MessageWriter message, const std::vector<std::size_t>& lengths, int threads) {
  Head head;
  head.command = command;
  head.length = message.numbers().size();
  head.threads = threads;
  MessageWriter first;
  first.put(head);
  first.put(lengths.data(), lengths.size());
  open_.push_back(exchange_.broadcast(Channel::Work, numbersOf(first.take())));
  if (head.length > 0) open_.push_back(exchange_.broadcast(Channel::Work, numbersOf(message.take())));
}

void Leader::post(Signal signal) {
  MessageWriter message;
  message.put(signal);
  open_.push_back(exchange_.broadcast(Channel::Signal, numbersOf(message.take())));
}

bool Leader::settle(Seconds patience, const std::function<bool()>& leave) {
  // `leave` may start another operation.
  for (std::size_t i = 0; i < open_.size(); ++i) {
    if (!waitFor(*open_[i], patience, leave)) return false;
  }
  open_.clear();
  return true;
}

template <typename PartType, typename Compute>
Leader::Gathered Leader::run(Command command, Message message, const std::vector<std::size_t>& lengths,
                             const Control& control, PartType& own, Compute compute) {
  if (lost_) throw RanksLost("the other ranks are lost");
  constexpr std::size_t kOutcome = sizeof(Outcome) / sizeof(double);
  static_assert(sizeof(Outcome) % sizeof(double) == 0);
  std::vector<std::size_t> counts(lengths);
  for (std::size_t& count : counts) count += kOutcome;
  const std::size_t total = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
  if (std::max(total, message.writer.numbers().size()) > kMostNumbers) {
    throw std::length_error("an estimate that ranks share may have at most 2^31 - 1 numbers, of 8 bytes each");
  }
  const Numbers all = numbersOf(std::vector<double>(total));
  Gathered result;
  try {
    // What an earlier command left when it was stopped.
    if (!settle(patience_, [&] { return control.stop(); })) throw Cancelled();
    const auto begun = std::chrono::steady_clock::now();
    post(command, std::move(message.writer), lengths, control.threads);
    if (!message.problem.empty()) problem_ = std::move(message.problem);
    bool stopSent = false;
    const auto stop = [&] {
      if (!stopSent) post(Signal::Stop);
      stopSent = true;
    };
    std::exception_ptr broken;  // by MPI, while threads computed
    double computed = 0;        // the part of this rank's share
    Control polling = control;
    polling.poll = [&] {
      if (broken || !control.stop()) return;
      try {
        stop();
      } catch (...) {
        broken = std::current_exception();
      }
    };
    polling.progress = [&](std::size_t done, std::size_t whole) {
      computed = static_cast<double>(done) / static_cast<double>(whole);
      if (control.progress) control.progress(done, whole);
    };
    settle(patience_, [&] {
      polling.poll();
      return stopSent;
    });
    own = compute(polling);
    if (broken) std::rethrow_exception(broken);
    if (isFinal(own.outcome)) stop();

    MessageWriter mine;
    mine.put(own.outcome);
    own.numbers.resize(lengths[0]);
    mine.put(own.numbers.data(), own.numbers.size());
    Seconds share = std::chrono::steady_clock::now() - begun;
    // A query without a finite loss ended this rank's share early, and not those of the others.
    if (own.outcome.status == Status::NonFinite && computed > 0) share /= computed;
    const Seconds patience = patience_.count() > 0 ? std::max<Seconds>(patience_, 2 * share) : patience_;
    open_.push_back(exchange_.gather(numbersOf(mine.take()), counts, all));
    const bool answered = settle(patience, [&] {
      if (!control.stop()) return false;
      stop();
      return true;
    });
    if (!answered) throw Cancelled();
    if (!stopSent) post(Signal::Done);
    settle(patience_);

    auto from = all->begin();
    for (const std::size_t length : lengths) {
      result.outcomes.push_back(MessageReader(std::vector<double>(from, from + kOutcome)).take<Outcome>());
      result.numbers.emplace_back(from + kOutcome, from + kOutcome + length);
      from += kOutcome + length;
      // Whether that rank has taken the problem is unknown.
      if (result.outcomes.back().status == Status::Failed) problem_.clear();
    }
  } catch (const Cancelled&) {
    problem_.clear();
    throw;
  } catch (...) {
    // In the middle of a command nothing else can be sent.
    lost_ = true;
    throw;
  }
  if (control.stop()) throw Cancelled();
  return result;
}

// The network and the problem, which is not sent again while it is the last one: in parts of an estimate.
Leader::Message Leader::messageOf(const Graph& graph, const Problem& problem) const {
  Message message;
  MessageWriter own;
  put(message.writer, graph);
  put(own, graph, problem);
  std::vector<double> whole = message.writer.numbers();
  whole.insert(whole.end(), own.numbers().begin(), own.numbers().end());
  const bool isNew =
      whole.size() != problem_.size() || std::memcmp(whole.data(), problem_.data(), whole.size() * sizeof(double)) != 0;
  message.writer.put(static_cast<std::uint64_t>(isNew));
  if (!isNew) return message;
  message.writer.put(own.numbers().data(), own.numbers().size());
  message.problem = std::move(whole);
  return message;
}

Estimate Leader::coordinatewise(Engine& engine, const Problem& problem, const CoordinatewiseOptions& options,
                                const Control& control) {
  const auto shares = sharesOf(engine, options, exchange_.count());
  std::vector<std::size_t> lengths;
  for (const auto& share : shares) lengths.push_back(share.size());
  Message message = messageOf(engine.graph(), problem);
  put(message.writer, options);
  EstimatePart own;
  const Gathered all =
      run(Command::Coordinates, std::move(message), lengths, control, own, [&](const Control& polling) {
        return computeCoordinates(engine, problem, options, shares[0],
                                  scaled(polling, shares[0].size(), options.count));
      });
  const std::vector<std::size_t> order = queryOrder(engine, options);
  require(all.outcomes, own.thrown, [&](long long a, long long b) {
    const auto placeOf = [&](long long coordinate) {
      return std::find_if(order.begin(), order.end(),
                          [&](std::size_t at) { return options.coordinates[at] == coordinate; });
    };
    return b >= 0 && (a < 0 || placeOf(a) < placeOf(b));
  });
  Estimate estimate;
  static_cast<Evaluation&>(estimate) = std::move(own.unperturbed);
  estimate.values.resize(options.count);
  for (std::size_t rank = 0; rank < shares.size(); ++rank) {
    for (std::size_t i = 0; i < shares[rank].size(); ++i) estimate.values[shares[rank][i]] = all.numbers[rank][i];
  }
  estimate.queries = 1 + options.count * (options.central ? 2 : 1);
  return estimate;
}

Estimate Leader::randomized(Engine& engine, const Problem& problem, const RandomizedOptions& options,
                            const Control& control) {
  const Graph& graph = engine.graph();
  const std::size_t tensors = graph.parameters().size();
  const int ranks = exchange_.count();
  std::vector<std::size_t> directions, lengths, sums;
  for (int rank = 0; rank < ranks; ++rank) {
    directions.push_back(rangeOf(options.queries, rank, ranks).count);
    lengths.push_back(directions.back() * (1 + tensors));
    sums.push_back(parametersOf(graph, rank, ranks).count);
  }
  Message message = messageOf(graph, problem);
  put(message.writer, options);
  EstimatePart own;
  const Gathered all = run(Command::Directions, std::move(message), lengths, control, own, [&](const Control& polling) {
    return computeDirections(engine, problem, options, rangeOf(options.queries, 0, ranks),
                             scaled(polling, directions[0], options.queries));
  });
  require(all.outcomes, own.thrown, std::less<long long>());
  std::vector<double> slopes, factors;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto from = all.numbers[rank].begin(), middle = from + directions[rank];
    slopes.insert(slopes.end(), from, middle);
    factors.insert(factors.end(), middle, all.numbers[rank].end());
  }

  Message sum;
  put(sum.writer, graph);
  put(sum.writer, options);
  sum.writer.put(slopes.data(), slopes.size());
  sum.writer.put(factors.data(), factors.size());
  Part ownSum;
  const Gathered summed = run(Command::Sum, std::move(sum), sums, control, ownSum, [&](const Control& polling) {
    return computeSum(graph, options, slopes.data(), factors.data(), parametersOf(graph, 0, ranks), polling);
  });
  require(summed.outcomes, ownSum.thrown, std::less<long long>());
  Estimate estimate;
  static_cast<Evaluation&>(estimate) = std::move(own.unperturbed);
  for (const std::vector<double>& part : summed.numbers) {
    estimate.values.insert(estimate.values.end(), part.begin(), part.end());
  }
  estimate.queries = 1 + options.queries * (options.central ? 2 : 1);
  return estimate;
}

template <typename Options, typename Name>
PerturbedOutputs Leader::outputs(Command command, Engine& engine, const Problem& problem, const Options& options,
                                 int sides, Range range, std::uint64_t mark, const Control& control, Message message,
                                 Name nameOf) {
  const int ranks = exchange_.count();
  const std::size_t size = problem.count * engine.graph().output().size() * sides;
  const auto partOf = [&](int rank) {
    const Range part = rangeOf(range.count, rank, ranks);
    return Range{range.first + part.first, part.count};
  };
  message.writer.put(range);
  message.writer.put(mark);
  std::vector<std::size_t> counts, lengths;
  for (int rank = 0; rank < ranks; ++rank) {
    counts.push_back(partOf(rank).count);
    lengths.push_back(counts.back() * (size + 1));
  }
  OutputsPart own;
  const Gathered all = run(command, std::move(message), lengths, control, own, [&](const Control& polling) {
    return computeOutputs(engine, problem, options, partOf(0), mark, scaled(polling, counts[0], range.count));
  });
  require(all.outcomes, own.thrown, [&](long long a, long long b) { return nameOf(a) < nameOf(b); });
  PerturbedOutputs result = std::move(own.outputs);
  result.perturbed.clear();
  result.distances.clear();
  for (int rank = 0; rank < ranks; ++rank) {
    const auto from = all.numbers[rank].begin(), middle = from + counts[rank] * size;
    result.perturbed.insert(result.perturbed.end(), from, middle);
    result.distances.insert(result.distances.end(), middle, all.numbers[rank].end());
  }
  return result;
}

PerturbedOutputs Leader::coordinatewiseOutputs(Engine& engine, const Problem& problem,
                                               const CoordinatewiseOptions& options, std::uint64_t mark,
                                               const Control& control) {
  Message message = messageOf(engine.graph(), problem);
  put(message.writer, options);
  const auto placeOf = [&](long long coordinate) {
    return coordinate < 0
               ? -1
               : std::find(options.coordinates, options.coordinates + options.count, coordinate) - options.coordinates;
  };
  return outputs(Command::CoordinateOutputs, engine, problem, options, options.central ? 2 : 1, {0, options.count},
                 mark, control, std::move(message), placeOf);
}

PerturbedOutputs Leader::randomizedOutputs(Engine& engine, const Problem& problem, const RandomizedOptions& options,
                                           Range range, std::uint64_t mark, const Control& control) {
  Message message = messageOf(engine.graph(), problem);
  put(message.writer, options);
  return outputs(Command::DirectionOutputs, engine, problem, options, options.central ? 2 : 1, range, mark, control,
                 std::move(message), [](long long query) { return query; });
}

template <typename Options>
RolloutLosses Leader::losses(Command command, Rollouts& rollouts, const RolloutProblem& problem, const Options& options,
                             const Control& control) {
  const LossRow row = rowOf(options, problem.count);
  const std::vector<Range> shares = lossShares(row, exchange_.count());
  std::vector<std::size_t> lengths;
  for (const Range share : shares) lengths.push_back(share.count);
  Message message;
  put(message.writer, rollouts);
  put(message.writer, rollouts, problem);
  put(message.writer, options);
  LossesPart own;
  const Gathered all = run(command, std::move(message), lengths, control, own, [&](const Control& polling) {
    return computeLosses(rollouts, problem, options, shares[0], problem.count,
                         scaled(reportingQueries(polling, row), shares[0].count, row.count));
  });
  require(all.outcomes, own.thrown, std::less<long long>());
  RolloutLosses result;
  static_cast<Evaluation&>(result) = std::move(own.unperturbed);
  for (const std::vector<double>& part : all.numbers) {
    result.values.insert(result.values.end(), part.begin(), part.end());
  }
  return result;
}

RolloutEstimate Leader::coordinatewise(Rollouts& rollouts, const RolloutProblem& problem,
                                       const CoordinatewiseOptions& options, const Control& control) {
  return rollouts.estimate(problem, options, losses(Command::CoordinateRollouts, rollouts, problem, options, control));
}

RolloutEstimate Leader::randomized(Rollouts& rollouts, const RolloutProblem& problem, const RandomizedOptions& options,
                                   const Control& control) {
  RolloutLosses all = losses(Command::DirectionRollouts, rollouts, problem, options, control);
  // Its sum along the directions is this rank's alone: networks of rollouts are small beside what they drive.
  return rollouts.estimate(problem, options, std::move(all), control);
}

void Leader::end() {
  if (lost_) return;
  const std::vector<std::size_t> counts(exchange_.count(), 1);
  try {
    settle(patience_);
    post(Command::End, MessageWriter(), std::vector<std::size_t>(exchange_.count()), 1);
    open_.push_back(exchange_.gather(numbersOf({0.0}), counts, numbersOf(std::vector<double>(counts.size()))));
    settle(patience_);
  } catch (const RanksLost&) {
    lost_ = true;
    throw;
  }
}

}  // namespace deepzero
