// Rank 0: estimates whose queries all ranks share. Results have the bits of one process.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "estimators/estimators.hpp"
#include "ranks/commands/command.hpp"
#include "ranks/commands/message.hpp"
#include "ranks/exchange.hpp"
#include "rollouts/rollouts.hpp"
#include "runtime/engine.hpp"
#include "support/control.hpp"

namespace deepzero {

class Leader {
 public:
  // It waits for the other ranks' parts for the longer of `patience` and twice the time of its own part; zero waits for
  // ever.
  Leader(Exchange& exchange, std::chrono::duration<double> patience) : exchange_(exchange), patience_(patience) {}

  // As deepzero::coordinatewise and deepzero::randomized. They throw RanksLost if a rank does not answer, for ever
  // after, and std::runtime_error with the reason of a rank that fails or whose unperturbed evaluation has other bits.
  // A stop does not wait for the other ranks.
  Estimate coordinatewise(Engine& engine, const Problem& problem, const CoordinatewiseOptions& options,
                          const Control& control);
  Estimate randomized(Engine& engine, const Problem& problem, const RandomizedOptions& options, const Control& control);

  // As deepzero::coordinatewiseOutputs and deepzero::randomizedOutputs.
  PerturbedOutputs coordinatewiseOutputs(Engine& engine, const Problem& problem, const CoordinatewiseOptions& options,
                                         std::uint64_t mark, const Control& control);
  PerturbedOutputs randomizedOutputs(Engine& engine, const Problem& problem, const RandomizedOptions& options,
                                     Range range, std::uint64_t mark, const Control& control);

  // As the functions of `rollouts`, whose simulator every rank loads from the same path: std::runtime_error too if one
  // cannot, or finds another file there.
  RolloutEstimate coordinatewise(Rollouts& rollouts, const RolloutProblem& problem,
                                 const CoordinatewiseOptions& options, const Control& control);
  RolloutEstimate randomized(Rollouts& rollouts, const RolloutProblem& problem, const RandomizedOptions& options,
                             const Control& control);

  // Lets the other ranks go, unless they are lost, and waits until they know. Throws RanksLost.
  void end();
  bool lost() const { return lost_; }

 private:
  // The numbers of all ranks.
  struct Gathered {
    std::vector<Outcome> outcomes;
    std::vector<std::vector<double>> numbers;
  };
  // A command's message, and the problem in it, if it is not the one that the other ranks have.
  struct Message {
    MessageWriter writer;
    std::vector<double> problem;
  };
  template <typename PartType, typename Compute>
  Gathered run(Command command, Message message, const std::vector<std::size_t>& lengths, const Control& control,
               PartType& own, Compute compute);
  template <typename Options>
  RolloutLosses losses(Command command, Rollouts& rollouts, const RolloutProblem& problem, const Options& options,
                       const Control& control);
  // Starts to send a command, or the signal that ends it.
  void post(Command command, MessageWriter message, const std::vector<std::size_t>& lengths, int threads);
  void post(Signal signal);
  // Waits for all that was started; false if `leave` said not to.
  bool settle(std::chrono::duration<double> patience, const std::function<bool()>& leave = nullptr);
  Message messageOf(const Graph& graph, const Problem& problem) const;
  template <typename Options, typename Name>
  PerturbedOutputs outputs(Command command, Engine& engine, const Problem& problem, const Options& options, int sides,
                           Range range, std::uint64_t mark, const Control& control, Message message, Name nameOf);

  Exchange& exchange_;
  std::chrono::duration<double> patience_;
  bool lost_ = false;
  std::vector<double> problem_;                 // that the other ranks have, behind its network
  std::vector<std::unique_ptr<Pending>> open_;  // what was started and not waited for
};

}  // namespace deepzero
