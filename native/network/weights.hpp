// The parameters as the kernels read them: convolution and linear weights packed for their tiles, those that the
// Winograd kernel takes also transformed for it, the rest flat.
#pragma once

#include <cstddef>
#include <vector>

#include "network/arena.hpp"
#include "network/plan/plan.hpp"

namespace deepzero {

class Weights {
 public:
  // `transposed`: as the convolutions read them that make gradients of inputs.
  Weights(const Graph& graph, const Plan& plan, bool transposed = false);

  void assign(const float* parameters);
  // Sets one parameter by its flat index.
  void set(std::size_t index, float value);

  // The transformed weights of an operation that has a weight, null where the Winograd kernel does not suit.
  const float* transformed(int operation) const;

  // An operation's weight (γ) and bias (β), null where it has none.
  const float* weight(int operation) const { return find(graph_.weightOf(operation)); }
  const float* bias(int operation) const { return find(graph_.biasOf(operation)); }

 private:
  const float* find(int parameter) const { return parameter < 0 ? nullptr : data_.data() + offset_[parameter]; }
  std::size_t position(int parameter, std::size_t index) const;
  // Where a weight of a tensor is among the weights of the convolution that reads it.
  std::size_t placeOf(int parameter, std::size_t index) const;
  // Transforms the 3×3 weights between two channels.
  void transform(int parameter, std::size_t pair);

  const Graph& graph_;
  bool transposed_;
  std::vector<std::size_t> offset_;        // by parameter tensor, into data_
  std::vector<ConvolutionShape> packing_;  // by parameter tensor; channels 0 for tensors that stay flat
  AlignedFloats data_;
  std::vector<AlignedFloats> transformed_;  // by parameter tensor, empty where Winograd does not suit
};

}  // namespace deepzero
