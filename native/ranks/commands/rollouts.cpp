#include "ranks/commands/rollouts.hpp"

#include <cstddef>
#include <stdexcept>
#include <utility>

#include "ranks/commands/networks.hpp"
#include "support/digest.hpp"

namespace deepzero {

namespace {

// What travels of rollouts beside the network and the texts.
struct SimulatorHead {
  std::uint64_t content = 0, pathLength = 0, configLength = 0;
};

// What travels of a problem beside its arrays, and how long those are that the simulator reads.
struct ProblemHead {
  std::int64_t count = 0, steps = 0;
  std::uint64_t items = 0, targets = 0;
  RolloutLoss loss = RolloutLoss::SquaredError;
};

std::size_t itemsOf(const Rollouts& rollouts, std::size_t count) {
  return checkedTimes(rollouts.simulator().parameters() + rollouts.simulator().state(), count);
}

std::size_t targetsOf(const Rollouts& rollouts, std::size_t count, std::size_t steps) {
  return checkedTimes(checkedTimes(rollouts.simulator().values(), count), steps);
}

std::string takeText(MessageReader& message, std::size_t length) { return {message.takeArray<char>(length), length}; }

}  // namespace

void put(MessageWriter& message, const Rollouts& rollouts) {
  const Simulator& simulator = rollouts.simulator();
  put(message, rollouts.graph());
  message.put(SimulatorHead{simulator.content(), simulator.path().size(), simulator.config().size()});
  message.put(simulator.path().data(), simulator.path().size());
  message.put(simulator.config().data(), simulator.config().size());
}

RolloutsPlan takeRollouts(MessageReader& message) {
  Graph graph = takeGraph(message);
  const auto head = message.take<SimulatorHead>();
  std::string path = takeText(message, head.pathLength), config = takeText(message, head.configLength);
  return {std::move(graph), std::move(path), std::move(config), head.content};
}

std::unique_ptr<Rollouts> RolloutsPlan::make(const Kernels& kernels) const {
  auto library = std::make_shared<const SimulatorLibrary>(path);
  if (library->content() != content) {
    throw std::invalid_argument(path + ": expected the same file as on rank 0, found another one");
  }
  return std::make_unique<Rollouts>(graph, kernels, std::move(library), config);
}

void put(MessageWriter& message, const Rollouts& rollouts, const RolloutProblem& problem) {
  ProblemHead head;
  head.count = problem.count;
  head.steps = problem.steps;
  head.items = itemsOf(rollouts, problem.count);
  head.targets = problem.targets == nullptr ? 0 : targetsOf(rollouts, problem.count, problem.steps);
  head.loss = problem.loss;
  message.put(head);
  message.put(problem.parameters, rollouts.graph().parameterCount());
  message.put(problem.items, head.items);
  message.put(problem.targets, head.targets);
}

RolloutProblem takeProblem(MessageReader& message, const Rollouts& rollouts) {
  const auto head = message.take<ProblemHead>();
  const bool isOfSize = head.items == itemsOf(rollouts, head.count) &&
                        (head.targets == 0 || head.targets == targetsOf(rollouts, head.count, head.steps)) &&
                        (head.loss != RolloutLoss::Simulator || rollouts.simulator().hasLoss());
  if (!isOfSize) {
    throw std::invalid_argument(rollouts.simulator().path() +
                                ": expected a simulator of the same sizes as on rank 0, found other ones");
  }
  RolloutProblem problem;
  problem.count = static_cast<int>(head.count);
  problem.steps = static_cast<int>(head.steps);
  problem.loss = head.loss;
  problem.parameters = message.takeArray<float>(rollouts.graph().parameterCount());
  problem.items = message.takeArray<float>(head.items);
  if (head.targets > 0) problem.targets = message.takeArray<float>(head.targets);
  return problem;
}

template <typename Options>
LossesPart computeLosses(Rollouts& rollouts, const RolloutProblem& problem, const Options& options, Range range,
                         int unperturbed, const Control& control) {
  return attempt<LossesPart>([&](LossesPart& part) {
    RolloutLosses found = rollouts.losses(problem, options, range, unperturbed, control);
    Digest digest;
    digest.add(&found.first, 1);
    digest.add(found.outputs.data(), found.outputs.size() / unperturbed);
    part.outcome.digest = digest.value();
    part.numbers = std::move(found.values);
    part.unperturbed = std::move(found);
  });
}

template LossesPart computeLosses(Rollouts&, const RolloutProblem&, const CoordinatewiseOptions&, Range, int,
                                  const Control&);
template LossesPart computeLosses(Rollouts&, const RolloutProblem&, const RandomizedOptions&, Range, int,
                                  const Control&);

}  // namespace deepzero
