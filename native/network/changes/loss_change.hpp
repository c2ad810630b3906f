// The change of the loss, computed from the change of the outputs without subtracting two losses.
#pragma once

#include <vector>

#include "kernels/kernels.hpp"
#include "network/arena.hpp"
#include "network/pass.hpp"
#include "network/problem.hpp"

namespace deepzero {

class LossChange {
 public:
  LossChange(const Map& map, int blocks);

  // Stores the unperturbed outputs, and their probabilities for the cross-entropy.
  void prepare(const Problem& problem, const Float64Pass& base);

  // The change of the sum of the loss over a block's images, when the output channels `channels` change.
  double block(const Kernels& kernels, const Problem& problem, int block, const float* change,
               const std::vector<int>& channels) const;

  // Writes the unperturbed outputs, a row for each image.
  void outputs(const Problem& problem, double* rows) const;
  // Adds a block's change of the output channels `channels` to such rows.
  void add(const Problem& problem, int block, const float* change, const std::vector<int>& channels,
           double* rows) const;

 private:
  double crossEntropyInDouble(const Problem& problem, int block, const float* change,
                              const std::vector<int>& channels) const;
  double finiteness(const float* change, const std::vector<int>& channels, int lanes) const;

  const double* outputsOf(int block) const { return outputs_.data() + block * map_.size(); }

  Map map_;
  Aligned<double> outputs_;               // a map for each block
  AlignedFloats probabilities_, labels_;  // [block][class][lane], cross-entropy only
};

}  // namespace deepzero
