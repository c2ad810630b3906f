// The incremental pass of one query: instead of values it carries the change Δ = perturbed − base through the network.
//
// The result is the same finite difference, ℓ(θ + δ) − ℓ(θ), but no two large numbers are ever subtracted, so float32
// keeps its digits for any step. And only the channels that change are computed: one until the next convolution.
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
  // `memory` is for the stored changes: plan.scratch().size() · blocks floats, which may be shared between runs.
  ChangePass(const Graph& graph, const Plan& plan, const Kernels& kernels, int blocks, float* memory);

  // Allocates the buffers of runs in which every parameter changes.
  void reserveAllChange();

  // Sets the unperturbed pass that the next runs start from, its loss, its weights and its products, which may be null.
  void startsFrom(const ChangeBase& base, const LossChange& lossBase, const Weights& weights,
                  const InputProducts* products);

  // The change of the mean loss when the parameter at flat index `coordinate` changes by `step`; NaN if stopped.
  double run(const Problem& problem, std::size_t coordinate, float step, const Control& control);
  // The same when every parameter changes, each by its entry of `steps`.
  double run(const Problem& problem, const Weights& steps, const Control& control);

  // The outputs of the last run, `count` rows: those of the unperturbed pass plus their changes.
  void outputs(const Problem& problem, double* rows) const;

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
  // Whether the moments of a value's change are known before the change is computed.
  bool momentsKnown(int value) const {
    return perturbation_.everywhere() && products_ != nullptr && value > 0 &&
           products_->available(*plan_.producerOf(value));
  }
  // Whether a convolution's change is not stored, but computed a few rows at a time where it is read.
  bool computedOnRead(int value) const { return changed_.rematerialised(value) || momentsKnown(value); }
  // A plane of a convolution's input in the unperturbed pass, recomputed if only its distances from a center are
  // stored.
  const float* input(int value, int channel, int block);
  // The planes of a value's change, unless it is computed on read. Only those of changed channels hold numbers.
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
  } recomputed_;                          // the last plane that input() recomputed
  std::vector<AlignedFloats> perturbed_;  // by value, one block of base + change, of convolution inputs
  AlignedFloats winogradScratch_;
};

}  // namespace deepzero
