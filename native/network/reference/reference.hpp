// The naive float64 reference: plain NCHW loops, no reuse, no packing, none of the kernels. Every fast path is tested
// against it, so it stays as simple as it can be. The same bits for every number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "network/plan/graph.hpp"
#include "network/problem.hpp"
#include "support/control.hpp"

namespace deepzero {

struct ReferenceEvaluation {
  double loss = 0;
  std::vector<std::vector<double>> values;  // every value of the graph, NCHW, the input first
  std::vector<double> statistics;           // running statistics after this batch
};

// One forward pass in double, at `parameters` instead of problem.parameters.
ReferenceEvaluation referenceEvaluate(const Graph& graph, const Problem& problem, const std::vector<double>& parameters,
                                      const Control& control);

// The output for one input, both NCHW, of a network without batch norms.
std::vector<double> referenceForward(const Graph& graph, const std::vector<double>& parameters,
                                     const std::vector<double>& input, const Control& control);

// CGE at each coordinate, (ℓ(θ + μeᵢ) − ℓ(θ))/μ, or (ℓ(θ + μeᵢ) − ℓ(θ − μeᵢ))/(2μ) if central, with one full forward
// pass a query. `loss` receives ℓ(θ).
std::vector<double> referenceCoordinatewise(const Graph& graph, const Problem& problem,
                                            const std::uint32_t* coordinates, std::size_t count, double mu,
                                            bool central, const Control& control, double* loss);

// The outputs at the same points: at θ, and [coordinate][side][image][output].
void referenceOutputs(const Graph& graph, const Problem& problem, const std::uint32_t* coordinates, std::size_t count,
                      double mu, bool central, const Control& control, double* unperturbed, double* perturbed);

// Bytes that referenceCoordinatewise allocates on `count` images; they do not depend on the number of threads.
std::size_t referenceBytes(const Graph& graph, int count, std::size_t coordinates);

}  // namespace deepzero
