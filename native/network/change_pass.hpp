// One query that carries what its perturbation changes, Δ = perturbed − base, through the network, instead of the
// values.
//
// It is the same finite difference, ℓ(θ + δ) − ℓ(θ), but nothing large is ever subtracted, so float32 keeps its
// digits for any step; and a change stays as narrow as the network lets it: one channel until the next convolution.
#pragma once

#include <cstddef>
#include <vector>

#include "network/arena.hpp"
#include "network/loss_change.hpp"
#include "network/pass.hpp"
#include "network/plan.hpp"
#include "network/problem.hpp"
#include "network/spread.hpp"
#include "network/weights.hpp"

namespace deepzero {

class ChangePass {
 public:
  ChangePass(const Graph& graph, const Plan& plan, const Kernels& kernels, int blocks);

  // The unperturbed pass that the next runs start from, its loss and the weights it ran under.
  void startsFrom(const Pass& base, const LossChange& lossBase, const Weights& weights);

  // Of its buffers for activations.
  std::size_t bytes() const;

  // The change of the mean loss when the parameter at flat index `coordinate` changes by `step`. NaN if stopped.
  double run(const Problem& problem, std::size_t coordinate, float step, const Control& control);
  // The same when every parameter changes, each by its entry of `steps`.
  double run(const Problem& problem, const Weights& steps, const Control& control);

 private:
  double runFrom(int segment, const Problem& problem, const Control& control);
  void enter(const Segment& segment, const Problem& problem);
  AffineChange affineChange(const Step& step, int channel, const Problem& problem) const;
  void runBlock(const Segment& segment, int block, const Problem& problem);
  void convolve(const Step& step, int block);
  void convolveWeight(const Step& step, int block);
  void convolveSteps(const Step& step, int block);
  void multiply(const Step& step, int block);
  void activate(const Step& step, int block);
  void recompute(const Step& step, int block);
  void shrink(const Step& step, int block);
  void measure(int value, int block, const Problem& problem);
  double lossChange(const Problem& problem) const;

  const std::vector<int>& channels(int value) const { return spread_.channels(value); }
  // Planes of the unperturbed pass, recomputed if they are not stored.
  const float* base(int value, int channel, int block);
  // The planes of the change, one for each changed channel.
  float* planes(int value, int block);

  const Graph& graph_;
  const Plan& plan_;
  const Kernels& kernels_;
  const Pass* base_ = nullptr;
  const LossChange* lossBase_ = nullptr;
  const Weights* weights_ = nullptr;
  Perturbation perturbation_;
  Spread spread_;
  int blocks_;

  Arena stored_, locals_;                           // changes, the planes of changed channels one after the other
  AlignedFloats fleeting_;                          // one block of what is not stored but computed again
  std::vector<std::vector<PlaneMoments>> moments_;  // by value, per changed channel
  std::vector<std::vector<AffineChange>> affine_;   // by operation, per channel; of batch norms
  std::vector<AffineChange> identity_;              // per channel
  std::vector<PlaneChange> planeChanges_;           // what one kernel call takes
  std::vector<const Step*> producer_;               // by value
  struct Recomputed {
    AlignedFloats plane;  // of the unperturbed pass, empty if that is stored
    int channel = -1, block = -1;
  };
  std::vector<Recomputed> recomputed_;  // by value
  std::vector<AlignedFloats> moved_;    // by value, one block of base + change, of convolution inputs; made when needed
  AlignedFloats winogradScratch_;
};

}  // namespace deepzero
