// The parameters as the kernels read them: the weights of convolutions and linear layers packed for the kernels' tiles,
// those of Winograd convolutions also transformed, all others flat.
#pragma once

#include <cstddef>
#include <vector>

#include "network/arena.hpp"
#include "network/plan/plan.hpp"

namespace deepzero {

class Weights {
 public:
  // `transposed`: for the transposed convolutions, which compute gradients of inputs.
  Weights(const Graph& graph, const Plan& plan, bool transposed = false);

  // Also keeps the weights in double, in which the float64 kernels read them: to widen them in the kernels would cost
  // as many instructions as the products where vectors are short.
  void widen();

  // Sets all parameters. Costs little where most are equal to those set before.
  void assign(const float* parameters);  // [Graph::parameterCount()]
  // Sets one parameter by its flat index.
  void set(std::size_t index, float value);

  // The transformed weights of an operation that has a weight; null where the Winograd kernel does not support it.
  const float* transformed(int operation) const;

  // An operation's weight (γ) and bias (β), null where it has none.
  const float* weight(int operation) const { return find(graph_.weightOf(operation)); }
  const float* bias(int operation) const { return find(graph_.biasOf(operation)); }
  // The weight in double, of weights that were widened.
  const double* wideWeight(int operation) const { return wide_.data() + offset_[graph_.weightOf(operation)]; }

 private:
  const float* find(int parameter) const { return parameter < 0 ? nullptr : data_.data() + offset_[parameter]; }
  std::size_t position(int parameter, std::size_t index) const;
  // The flat OIHW index, in the convolution that reads it, of a tensor's weight: transposed convolutions flip kernels.
  std::size_t placeOf(int parameter, std::size_t index) const;
  // Updates the transformed weights of one pair of channels, `pair` = output · inputs + input.
  void transform(int parameter, std::size_t pair);

  const Graph& graph_;
  bool transposed_;
  std::vector<std::size_t> offset_;        // by parameter tensor, into data_
  std::vector<ConvolutionShape> packing_;  // by parameter tensor; channels 0 for tensors that stay flat
  bool assigned_ = false;                  // whether every parameter has been set
  AlignedFloats data_;
  Aligned<double> wide_;                    // the same, or empty
  std::vector<AlignedFloats> transformed_;  // by parameter tensor, empty where the Winograd kernel is not used
};

}  // namespace deepzero
