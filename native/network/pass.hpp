// One forward pass, whole or restarted at a cut point.
#pragma once

#include <type_traits>
#include <utility>
#include <vector>

#include "network/arena.hpp"
#include "network/plan/plan.hpp"
#include "network/problem.hpp"
#include "network/run_step.hpp"
#include "network/weights.hpp"
#include "support/control.hpp"

namespace deepzero {

// Mean and biased variance of each channel of a value, over the whole batch.
struct ChannelStatistics {
  std::vector<double> mean, variance;
};

// The buffers of one thread.
template <typename Scalar>
struct WorkspaceOf {
  explicit WorkspaceOf(const Plan& plan)
      : locals(plan.locals(), 1), winograd(std::is_same_v<Scalar, float> ? plan.winogradScratch() : 0) {}

  ArenaOf<Scalar> locals;  // values that are not stored
  AlignedFloats winograd;  // scratch of the Winograd kernel, which is of floats only
};
using Workspace = WorkspaceOf<float>;

template <typename Scalar>
class PassOf;

// Is called during a pass.
template <typename Scalar>
struct ObserverOf {
  virtual ~ObserverOf() = default;
  // Before a segment's blocks, when the statistics that its batch norms use are known.
  virtual void beforeSegment(const PassOf<Scalar>& pass, const Segment& segment, const Problem& problem) = 0;
  // Before each step of each block, on several threads, with the step's inputs; `residual` may be null.
  virtual void beforeStep(const PassOf<Scalar>& pass, int step, int block, const Scalar* in,
                          const Scalar* residual) = 0;
};

// A pass on float or double values. A restarted pass reads the values of earlier segments from the buffers of the pass
// it restarts from, and writes to its own: so a query writes nothing that another query reads.
template <typename Scalar>
class PassOf {
 public:
  PassOf(const Graph& graph, const Plan& plan, const Kernels& kernels, ArenaOf<Scalar> values, int blocks);

  // Sets the pass that restarts read from.
  void restartsFrom(const PassOf& base) { base_ = &base; }
  int blocks() const { return blocks_; }
  // To be called before a run if the memory of the values is shared.
  void clearBorders() { values_.clearBorders(); }

  // Runs all segments, blocks in parallel, and returns the mean loss. Throws Cancelled.
  double run(const Problem& problem, const Weights& weights, std::vector<WorkspaceOf<Scalar>>& workspaces,
             const Control& control, ObserverOf<Scalar>* observer = nullptr);
  // Runs the segments from `from` >= 1 on, on this thread, and returns the mean loss; NaN if stopped.
  double restart(int from, const Problem& problem, const Weights& weights, WorkspaceOf<Scalar>& workspace,
                 const Control& control);

  // The affine map that an activation applied, by channel.
  const std::vector<AffineOf<Scalar>>& affine(const Step& step) const {
    return step.operation >= 0 ? affine_[step.operation] : identity_;
  }
  // Mean and variance that a batch norm used.
  std::pair<double, double> moments(const Problem& problem, int operation, int channel) const;
  // One block of a value; of one that is not stored, what `locals` holds, after recompute().
  const Scalar* read(int value, int block, const ArenaOf<Scalar>& locals) const;
  // Computes a segment's values that are not stored again, with the same bits.
  void recompute(const Segment& segment, int block, ArenaOf<Scalar>& locals) const;
  const Scalar* outputBlock(int block) const { return values_.at(plan_.outputValue(), block); }

  // The outputs, `count` rows.
  std::vector<float> outputs(const Problem& problem) const;
  void outputs(const Problem& problem, double* rows) const;
  // The running statistics after this pass, momentum 0.1, unbiased variance.
  std::vector<float> runningStatistics(const Problem& problem) const;

 private:
  void prepare(int segment, const Problem& problem, const Weights& weights);
  void runBlock(int segment, int block, const Problem& problem, const Weights& weights, WorkspaceOf<Scalar>& workspace,
                ObserverOf<Scalar>* observer);
  void activate(const Step& step, int block, Scalar* out, const ArenaOf<Scalar>& locals) const;
  void loadInput(const Problem& problem, int block);
  void combineMoments(int segment, const Problem& problem);
  double loss(const Problem& problem) const;
  const ArenaOf<Scalar>& outputValues() const;
  template <typename To>
  void copyOutputs(const Problem& problem, To* rows) const;

  Scalar* written(int value, int block, ArenaOf<Scalar>& locals);
  const ChannelStatistics& statistics(int value) const;

  const Graph& graph_;
  const Plan& plan_;
  const Kernels& kernels_;
  const PassOf* base_ = nullptr;
  int blocks_;
  int from_ = 0;
  ArenaOf<Scalar> values_;
  std::vector<ChannelStatistics> statistics_;  // by value
  // By value: each block's moments, then its channels.
  std::vector<Aligned<double>> blockMean_, blockSquares_;
  std::vector<std::vector<AffineOf<Scalar>>> affine_;  // by operation, per channel; of batch norms
  std::vector<AffineOf<Scalar>> identity_;
};

using Pass = PassOf<float>;
using Float64Pass = PassOf<double>;

}  // namespace deepzero
