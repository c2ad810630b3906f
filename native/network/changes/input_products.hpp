// Products of a first convolution's input with itself and with the convolution's output, over the unperturbed pass.
//
// When the weights of a convolution change and its input does not, its output changes by Δ(p) = Σₖ uₖ·xₖ(p), where xₖ
// is the input of tap k; a bias is a tap whose input is 1. So both moments of Δ that a batch norm needs,
//   Σ Δ = Σₖ uₖ·Σ xₖ   and   Σ (2·base·Δ + Δ²) = 2·Σₖ uₖ·cₖ + Σₖⱼ uₖ·Gₖⱼ·uⱼ   with   cₖ = Σ base·xₖ,  Gₖⱼ = Σ xₖ·xⱼ,
// are known before Δ is. c and G depend on the mini-batch and not on the direction u. So Δ is computed on read and
// never stored.
#pragma once

#include <cstddef>
#include <vector>

#include "network/arena.hpp"
#include "network/changes/change_base.hpp"
#include "network/plan/plan.hpp"
#include "network/problem.hpp"
#include "network/weights.hpp"
#include "support/control.hpp"

namespace deepzero {

class InputProducts {
 public:
  InputProducts(const Plan& plan, const Kernels& kernels, int blocks);

  // Allocates the buffers of compute() on this many threads.
  void reserve(int threads);

  // Computes the products of steps for which they are worthwhile with this many directions; in evaluation, where no
  // moments are needed, none. Throws Cancelled.
  void compute(const Problem& problem, const ChangeBase& base, std::size_t directions, const Control& control);

  // Whether a step can have products: a convolution or linear layer with few taps on the network's input, whose output
  // is recomputable and read by a batch norm.
  bool supports(const Step& step) const { return step.kind == StepKind::Convolve && taps_[step.operation] > 0; }
  // Whether it has those of the last mini-batch.
  bool available(const Step& step) const { return supports(step) && computed_[step.operation]; }

  struct Moments {
    double sum, square;
  };
  // The moments of an output channel's change when weights and biases change by `steps`.
  Moments moments(const Step& step, int channel, const Weights& steps) const;

 private:
  bool worthwhile(const Step& step, std::size_t directions) const;
  void computeBlock(const Step& step, int block, const Problem& problem, const ChangeBase& base, float* read,
                    double* products) const;

  const Plan& plan_;
  const Kernels& kernels_;
  int blocks_;
  // By operation: the number of its taps, the bias included, 0 for no products; the products [taps + output
  // channels][taps], G and then c of each output channel; and whether they are those of the last mini-batch.
  std::vector<int> taps_;
  std::vector<Aligned<double>> products_;
  std::vector<bool> computed_;
  Aligned<double> ofBlocks_;  // the products of each block, of one operation at a time
  AlignedFloats read_;        // by thread: the input of each tap, one plane each
  std::size_t readSize_ = 0;  // floats of one thread's
};

}  // namespace deepzero
