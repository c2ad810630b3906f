// Commands for networks: their messages and their parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "estimators/estimators.hpp"
#include "network/plan/graph.hpp"
#include "network/problem.hpp"
#include "ranks/commands/command.hpp"
#include "ranks/commands/message.hpp"

namespace deepzero {

void put(MessageWriter& message, const Graph& graph);
Graph takeGraph(MessageReader& message);

// Arrays of what was read are in its message.
void put(MessageWriter& message, const Graph& graph, const Problem& problem);
Problem takeProblem(MessageReader& message, const Graph& graph);

void put(MessageWriter& message, const CoordinatewiseOptions& options);
CoordinatewiseOptions takeCoordinatewise(MessageReader& message);
void put(MessageWriter& message, const RandomizedOptions& options);
RandomizedOptions takeRandomized(MessageReader& message);

// Of coordinates and of directions, with the evaluation that every rank makes.
struct EstimatePart : Part {
  Evaluation unperturbed;
};

// The slopes along some coordinates.
EstimatePart computeCoordinates(Engine& engine, const Problem& problem, const CoordinatewiseOptions& options,
                                const std::vector<std::size_t>& places, const Control& control);
// The slopes along some directions, then their factors.
EstimatePart computeDirections(Engine& engine, const Problem& problem, const RandomizedOptions& options, Range range,
                               const Control& control);
// The perturbed outputs of a part of an estimate, then its distances.
struct OutputsPart : Part {
  PerturbedOutputs outputs;  // without what is in the numbers
};
OutputsPart computeOutputs(Engine& engine, const Problem& problem, const CoordinatewiseOptions& options, Range range,
                           std::uint64_t mark, const Control& control);
OutputsPart computeOutputs(Engine& engine, const Problem& problem, const RandomizedOptions& options, Range range,
                           std::uint64_t mark, const Control& control);

// RGE's values for a rank's parameters.
Part computeSum(const Graph& graph, const RandomizedOptions& options, const double* slopes, const double* factors,
                Range parameters, const Control& control);

// A rank's parameters of a sum.
Range parametersOf(const Graph& graph, int rank, int ranks);

}  // namespace deepzero
