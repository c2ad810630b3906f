// One query that carries what its perturbation changes, Δ = perturbed − base, through the network, instead of the
// values.
//
// It is the same finite difference, ℓ(θ + step·eᵢ) − ℓ(θ), but nothing large is ever subtracted, so float32 keeps its
// digits for any step; and a change stays as narrow as the network lets it: one channel until the next convolution.
#pragma once

#include <cstddef>
#include <vector>

#include "network/arena.hpp"
#include "network/loss_change.hpp"
#include "network/pass.hpp"
#include "network/plan.hpp"
#include "network/problem.hpp"
#include "network/weights.hpp"

namespace deepzero {

class ChangePass {
 public:
  ChangePass(const Graph& graph, const Plan& plan, const Kernels& kernels, int blocks);

  // The unperturbed pass that the next runs start from, its loss and the weights it ran under.
  void startsFrom(const Pass& base, const LossChange& lossBase, const Weights& weights);

  // The change of the mean loss when the parameter at flat index `coordinate` changes by `step`. NaN if stopped.
  double run(const Problem& problem, std::size_t coordinate, float step, const Control& control);

 private:
  // The perturbed parameter.
  struct Perturbation {
    int operation = -1;
    bool isBias = false;
    int index = 0;  // within its tensor
    float step = 0;
  };

  void spread(int firstStep);
  void prepare(const Segment& segment, const Problem& problem);
  void runBlock(const Segment& segment, int block, const Problem& problem);
  void convolve(const Step& step, int block);
  void measure(int value, int block, const Problem& problem);
  double lossChange(const Problem& problem) const;

  bool materialized(int value) const { return plan_.stored(value) || materialized_[value]; }
  bool changes(int value, int channel) const { return positionOf(value, channel) >= 0; }
  int positionOf(int value, int channel) const;
  long long keyOf(int value, int channel, int block) const;
  Map planeMap(int value) const;
  float* materializedPlane(int value, int position, int block);
  // One channel's plane of the base pass, and of the change (null where there is none), recomputed if it is not stored.
  const float* base(int value, int channel, int block);
  const float* change(int value, int channel, int block);
  void computeBase(const Step& step, int channel, int block, float* out);
  void computeChange(const Step& step, int channel, int block, float* out);

  const Graph& graph_;
  const Plan& plan_;
  const Kernels& kernels_;
  const Pass* base_ = nullptr;
  const LossChange* lossBase_ = nullptr;
  const Weights* weights_ = nullptr;
  Perturbation perturbation_;
  int blocks_;

  std::vector<int> producer_;                           // by value, the step
  std::vector<bool> materialized_;                      // by value, local but read whole by an expensive step
  std::vector<std::vector<int>> channels_;              // by value, the changed channels in increasing order
  Arena stored_, locals_;                               // changes, the planes of changed channels one after the other
  std::vector<AlignedFloats> basePlane_, changePlane_;  // by value, one plane
  std::vector<long long> baseKey_;                      // by value, which (block, channel) basePlane_ holds
  AlignedFloats winogradScratch_;
  AlignedFloats zero_;                             // a plane of zeros, as large as the largest
  std::vector<std::vector<double>> sums_;          // by value, per changed channel: Σ Δ, Σ (2(y − mean) + Δ)·Δ
  std::vector<std::vector<AffineChange>> affine_;  // by operation, per channel
};

}  // namespace deepzero
