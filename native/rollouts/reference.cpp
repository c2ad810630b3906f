#include "rollouts/reference.hpp"

#include <cmath>
#include <limits>

#include "network/reference/reference.hpp"

namespace deepzero {

double referenceRolloutLoss(const Graph& graph, Simulator& simulator, const RolloutProblem& problem,
                            const std::vector<double>& parameters, const Control& control) {
  const std::size_t width = simulator.values(), all = width * problem.steps;
  double total = 0;
  for (int item = 0; item < problem.count; ++item) {
    const float* const from = problem.items + item * (simulator.parameters() + simulator.state());
    const std::vector<double> own(from, from + simulator.parameters());
    std::vector<double> state(from + own.size(), from + own.size() + simulator.state()), next(state.size());
    std::vector<double> observation(simulator.observation()), values(all);
    bool failed = false;
    for (int step = 0; step < problem.steps; ++step) {
      if (control.stop()) throw Cancelled();
      if (simulator.corrects()) {
        simulator.step(1, own.data(), state.data(), nullptr, next.data(), &failed);
        state = next;
      }
      simulator.observe(1, own.data(), state.data(), observation.data(), &failed);
      const std::vector<double> output = referenceForward(graph, parameters, observation, control);
      if (simulator.corrects()) {
        simulator.correct(1, own.data(), state.data(), output.data(), next.data(), &failed);
      } else {
        simulator.step(1, own.data(), state.data(), output.data(), next.data(), &failed);
      }
      state = next;
      simulator.measure(1, own.data(), state.data(), values.data() + step * width, &failed);
    }
    if (failed) return std::numeric_limits<double>::quiet_NaN();
    const float* const targets = problem.targets == nullptr ? nullptr : problem.targets + item * all;
    if (problem.loss == RolloutLoss::Simulator) {
      total += simulator.loss(problem.steps, own.data(), values.data(), targets);
      continue;
    }
    double sum = 0;
    for (std::size_t i = 0; i < all; ++i) {
      const double error = values[i] - targets[i];
      sum += problem.loss == RolloutLoss::SquaredError ? error * error : std::abs(error);
    }
    total += sum / static_cast<double>(all);
  }
  return total / problem.count;
}

std::vector<double> referenceRolloutCoordinatewise(const Graph& graph, Simulator& simulator,
                                                   const RolloutProblem& problem, const std::uint32_t* coordinates,
                                                   std::size_t count, double mu, bool central, const Control& control,
                                                   double* loss) {
  std::vector<double> parameters(problem.parameters, problem.parameters + graph.parameterCount());
  const auto lossAt = [&](long long name) {
    const double found = referenceRolloutLoss(graph, simulator, problem, parameters, control);
    if (!std::isfinite(found)) throw NonFinite(name);
    return found;
  };
  const double base = lossAt(-1);
  if (loss != nullptr) *loss = base;
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) {
    double& parameter = parameters[coordinates[i]];
    const double unperturbed = parameter;
    parameter = unperturbed + mu;
    const double above = lossAt(coordinates[i]);
    parameter = unperturbed - mu;
    values.push_back(central ? (above - lossAt(coordinates[i])) / (2 * mu) : (above - base) / mu);
    parameter = unperturbed;
    if (control.progress) control.progress(i + 1, count);
  }
  return values;
}

}  // namespace deepzero
