// Back-propagation: ∂loss/∂parameters from the stored values of a pass.
//
// Segments are walked backwards, and blocks run alone through each. The gradient of a batch norm's input depends on
// sums over the whole mini-batch, dx = γ/σ·(g − Σg/N − x̂·Σ(g·x̂)/N), which are known only when all blocks are through:
// so a block adds γ/σ·g, and what is missing, a constant and a multiple of x for each channel, is added where the step
// that yields x takes its gradient, always in an earlier segment.
#pragma once

#include <cstddef>
#include <vector>

#include "network/arena.hpp"
#include "network/pass.hpp"
#include "network/plan/plan.hpp"
#include "network/problem.hpp"
#include "network/weights.hpp"
#include "support/control.hpp"

namespace deepzero {

// What one thread needs beside the gradients of stored values.
template <typename Scalar>
struct BackwardWorkspaceOf {
  explicit BackwardWorkspaceOf(const Plan& plan);

  ArenaOf<Scalar> locals;   // gradients of values that live within one segment
  Aligned<Scalar> dilated;  // of a convolution's output, as the transposed convolution reads it
  Aligned<Scalar> term;     // what a convolution adds to the gradient of its input
  Aligned<Scalar> plane;    // of what an activation sums up
  AlignedFloats winograd;   // a kernel of floats only
};

template <typename Scalar>
class BackwardPassOf {
 public:
  BackwardPassOf(const Graph& graph, const Plan& plan, const Kernels& kernels, int blocks);

  // Allocates what so many threads take.
  void reserve(int threads);

  // After a whole run of `pass`, on plan.cache(), of the same problem: the gradient of the mean loss, an entry for
  // every parameter, the same bits for any number of threads. `transposed` are the pass's weights, transposed. Throws
  // Cancelled.
  std::vector<double> run(const Problem& problem, const PassOf<Scalar>& pass, const Weights& transposed,
                          std::vector<WorkspaceOf<Scalar>>& workspaces, const Control& control);

 private:
  // One run and one block of it.
  struct Context {
    const Problem& problem;
    const PassOf<Scalar>& pass;
    const Weights& transposed;
    WorkspaceOf<Scalar>& forward;
    BackwardWorkspaceOf<Scalar>& backward;
    int block;
  };
  // What is missing of a channel's gradient: constant + slope·(x − mean).
  struct Correction {
    double constant = 0, slope = 0;
    Scalar mean = 0;
  };

  void runBlock(const Segment& segment, const Context& context);
  void addCorrections(int value, const Context& context);
  void convolve(const Step& step, const Context& context);
  void dilate(const ConvolutionShape& shape, const Scalar* outGradient, Scalar* out) const;
  void activate(const Step& step, const Context& context);
  void averagePool(const Step& step, const Context& context);
  void flatten(const Step& step, const Context& context);
  void combine(const Segment& segment, const Problem& problem, const PassOf<Scalar>& pass, double* values);
  void finishNorm(const Step& step, const Problem& problem, const PassOf<Scalar>& pass, double* values);

  Scalar* gradient(int value, const Context& context);
  // Whether there is something in the gradient of a step's input already.
  bool adds(const Step& step, int input) const;
  // A block's part of what becomes the gradient of a parameter tensor.
  double* partialSum(int tensor, int block) {
    return partialSums_.data() + block * partialSize_ + partialOffset_[tensor];
  }
  bool isNorm(const Step& step) const { return step.kind == StepKind::Activate && step.operation >= 0; }

  const Graph& graph_;
  const Plan& plan_;
  const Kernels& kernels_;
  int blocks_;
  ArenaOf<Scalar> stored_;
  std::vector<BackwardWorkspaceOf<Scalar>> workspaces_;  // by thread
  std::vector<std::vector<Correction>> corrections_;     // by value, per channel; of what batch norms read
  // By block, the tensors of one segment after each other.
  Aligned<double> partialSums_;
  std::size_t partialSize_ = 0;
  std::vector<std::size_t> partialOffset_;
};

}  // namespace deepzero
