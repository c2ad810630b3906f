// The naive reference of rollouts: one trajectory and one query after the other, by plain loops in double precision.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "network/plan/graph.hpp"
#include "rollouts/lane_rollout.hpp"
#include "rollouts/simulator.hpp"
#include "support/control.hpp"

namespace deepzero {

// The mean loss at `parameters` instead of problem.parameters; NaN where the simulator fails.
double referenceRolloutLoss(const Graph& graph, Simulator& simulator, const RolloutProblem& problem,
                            const std::vector<double>& parameters, const Control& control);

// CGE at each coordinate, as referenceCoordinatewise(). `loss` receives the unperturbed loss. Throws NonFinite.
std::vector<double> referenceRolloutCoordinatewise(const Graph& graph, Simulator& simulator,
                                                   const RolloutProblem& problem, const std::uint32_t* coordinates,
                                                   std::size_t count, double mu, bool central, const Control& control,
                                                   double* loss);

}  // namespace deepzero
