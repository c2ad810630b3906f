// Commands for rollouts: their messages and their parts.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "estimators/estimators.hpp"
#include "network/plan/graph.hpp"
#include "ranks/commands/command.hpp"
#include "ranks/commands/message.hpp"
#include "rollouts/rollouts.hpp"

namespace deepzero {

// What a rank makes rank 0's rollouts of. It loads the simulator from the same path.
struct RolloutsPlan {
  Graph graph;
  std::string path, config;
  std::uint64_t content = 0;  // of rank 0's simulator

  // Throws std::invalid_argument if the simulator cannot be made here, or is another one than on rank 0.
  std::unique_ptr<Rollouts> make(const Kernels& kernels) const;
};

void put(MessageWriter& message, const Rollouts& rollouts);
RolloutsPlan takeRollouts(MessageReader& message);

// Arrays of what was read are in its message. Throws std::invalid_argument if the simulator's are of other lengths
// than on rank 0.
void put(MessageWriter& message, const Rollouts& rollouts, const RolloutProblem& problem);
RolloutProblem takeProblem(MessageReader& message, const Rollouts& rollouts);

// Losses, with the evaluation of some trajectories.
struct LossesPart : Part {
  Evaluation unperturbed;
};

// The losses of a range. Its digest is of the first trajectory, which all ranks roll out.
template <typename Options>
LossesPart computeLosses(Rollouts& rollouts, const RolloutProblem& problem, const Options& options, Range range,
                         int unperturbed, const Control& control);

}  // namespace deepzero
