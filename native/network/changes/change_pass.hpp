// One query that carries what its perturbation changes, Δ = perturbed − base, through the network, instead of the
// values.
//
// It is the same finite difference, ℓ(θ + δ) − ℓ(θ), but nothing large is ever subtracted, so float32 keeps its
// digits for any step; and a change stays as narrow as the network lets it: one channel until the next convolution.
#pragma once

#include <cstddef>
#include <vector>

#include "network/arena.hpp"
#include "network/changes/change_base.hpp"
#include "network/changes/changed_channels.hpp"
#include "network/changes/input_products.hpp"
#include "network/changes/loss_change.hpp"
#include "network/plan/plan.hpp"
#include "network/problem.hpp"
#include "network/weights.hpp"
#include "support/control.hpp"

namespace deepzero {

class ChangePass {
 public:
  // `memory` is for the stored changes, plan.scratch().size() · blocks floats, which others may use between runs.
  ChangePass(const Graph& graph, const Plan& plan, const Kernels& kernels, int blocks, float* memory);

  // Allocates what runs take in which every parameter changes.
  void reserveAllChange();

  // The unperturbed pass that the next runs start from, its loss and the weights it ran under; its products may be
  // null.
  void startsFrom(const ChangeBase& base, const LossChange& lossBase, const Weights& weights,
                  const InputProducts* products);

  // The change of the mean loss when the parameter at flat index `coordinate` changes by `step`. NaN if stopped.
  double run(const Problem& problem, std::size_t coordinate, float step, const Control& control);
  // The same when every parameter changes, each by its entry of `steps`.
  double run(const Problem& problem, const Weights& steps, const Control& control);

 private:
  double runFrom(int segment, const Problem& problem, const Control& control);
  void prepareSegment(const Segment& segment, const Problem& problem);
  AffineChange affineChange(const Step& step, int channel, const Problem& problem) const;
  void runBlock(const Segment& segment, int block, const Problem& problem);
  bool convolve(const Step& step, int block, PlaneMoments* moments, int lanes);
  PartialConvolution partial(const Step& step, int block);
  bool convolveChange(const Step& step, int block, PlaneMoments* moments, int lanes);
  void convolveWeight(const Step& step, int block);
  void convolveSteps(const Step& step, int block);
  const float* perturbedInput(const Step& step, int block);
  void activate(const Step& step, int block);
  void poolOrFlatten(const Step& step, int block);
  PlaneMoments* momentsOf(int value, int block);
  double lossChange(const Problem& problem) const;

  const std::vector<int>& changedChannels(int value) const { return changed_.channels(value); }
  // Whether the moments of a value's change are known without it.
  bool momentsKnown(int value) const {
    return perturbation_.everywhere() && products_ != nullptr && value > 0 &&
           products_->available(*plan_.producerOf(value));
  }
  // Whether a convolution's output is never stored, but made some rows at a time where it is read.
  bool computedOnRead(int value) const { return changed_.rematerialised(value) || momentsKnown(value); }
  // A plane of a convolution's input in the unperturbed pass, recomputed if it is not kept as it is.
  const float* input(int value, int channel, int block);
  // The planes of the change of a value that is not made where it is read, those of its changed channels being filled.
  float* planes(int value, int block);

  const Graph& graph_;
  const Plan& plan_;
  const Kernels& kernels_;
  const ChangeBase* base_ = nullptr;
  const LossChange* lossBase_ = nullptr;
  const Weights* weights_ = nullptr;
  const InputProducts* products_ = nullptr;
  Perturbation perturbation_;
  ChangedChannels changed_;
  int blocks_;

  Arena stored_, locals_;                                   // changes
  AlignedFloats rowScratch_;                                // rows of convolutions that are computed on read
  float tap_[kChannelTile] = {};                            // the weights of a convolution by one weight
  std::vector<std::vector<PlaneMoments>> moments_;          // by value, per channel
  std::vector<std::vector<AffineChange>> affine_;           // by operation, per channel; of batch norms
  std::vector<AffineChange> identity_;                      // per channel
  std::vector<int> everyChannel_;                           // 0, 1, 2, …
  std::vector<PlaneChange> computedPlanes_, storedPlanes_;  // arguments of kernel calls
  struct {
    AlignedFloats plane;
    int value = -1, channel = -1, block = -1;
  } recomputed_;                          // the last of the unperturbed pass's planes that are not kept
  std::vector<AlignedFloats> perturbed_;  // by value, one block of base + change, of convolution inputs
  AlignedFloats winogradScratch_;
};

}  // namespace deepzero
