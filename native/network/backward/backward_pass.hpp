// Back-propagation: ∂loss/∂parameters from the stored values of a pass.
//
// Segments run in reverse, and blocks run independently through each. The gradient of a batch norm's input depends on
// sums over the whole mini-batch, dx = γ/σ·(g − Σg/N − x̂·Σ(g·x̂)/N), which are known only after all blocks. So a block
// adds γ/σ·g, and the correction, a constant and a multiple of x for each channel, is added when the step that computes
// x reads its gradient, always in an earlier segment.
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

// The buffers of one thread.
template <typename Scalar>
struct BackwardWorkspaceOf {
  explicit BackwardWorkspaceOf(const Plan& plan);

  ArenaOf<Scalar> locals;   // gradients of values that are not stored
  Aligned<Scalar> dilated;  // the dilated output gradient, which the transposed convolution reads
  Aligned<Scalar> term;     // a convolution's contribution to the gradient of its input
  Aligned<Scalar> plane;    // gradient of an activation's sum, before nonlinearity and pool
  AlignedFloats winograd;   // scratch of the Winograd kernel, which is of floats only
};

template <typename Scalar>
class BackwardPassOf {
 public:
  BackwardPassOf(const Graph& graph, const Plan& plan, const Kernels& kernels, int blocks);

  // Allocates the buffers of this many threads.
  void reserve(int threads);

  // The gradient of the mean loss, [Graph::parameterCount()], after a whole run of `pass`, on plan.cache(), of the same
  // problem. The same bits for any number of threads. `transposed` holds the pass's weights. Throws Cancelled.
  std::vector<double> run(const Problem& problem, const PassOf<Scalar>& pass, const Weights& transposed,
                          std::vector<WorkspaceOf<Scalar>>& workspaces, const Control& control);

 private:
  // One block of a run.
  struct Context {
    const Problem& problem;
    const PassOf<Scalar>& pass;
    const Weights& transposed;
    WorkspaceOf<Scalar>& forward;
    BackwardWorkspaceOf<Scalar>& backward;
    int block;
  };
  // Of a channel's gradient: constant + slope·(x − mean).
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
  // Whether a step adds to its input's gradient; otherwise it is the first to write it.
  bool adds(const Step& step, int input) const;
  // A block's part of the gradient of a parameter tensor.
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
  // By block, the tensors of one segment one after another.
  Aligned<double> partialSums_;
  std::size_t partialSize_ = 0;
  std::vector<std::size_t> partialOffset_;
};

}  // namespace deepzero
