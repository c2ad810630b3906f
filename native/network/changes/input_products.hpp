// What a first convolution reads, multiplied with itself and with what it yields, over the unperturbed pass.
//
// When the weights of a convolution change and its input does not, its output changes by Δ(p) = Σₖ uₖ·xₖ(p), where xₖ
// is what tap k reads and a bias is a tap that reads 1. So both moments of Δ that a batch norm asks for,
//   Σ Δ = Σₖ uₖ·Σ xₖ   and   Σ (2·base·Δ + Δ²) = 2·Σₖ uₖ·cₖ + Σₖⱼ uₖ·Gₖⱼ·uⱼ   with   cₖ = Σ base·xₖ,  Gₖⱼ = Σ xₖ·xⱼ,
// are known before Δ is. c and G are of a mini-batch, whatever the direction u, and Δ is made where it is read and
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

  // Allocates what compute() takes with so many threads.
  void reserve(int threads);

  // Where they pay for so many directions; nobody asks for moments out of training. Throws Cancelled.
  void compute(const Problem& problem, const ChangeBase& base, std::size_t directions, const Control& control);

  // Whether a step can have products: a convolution or linear layer that applies few weights to the network's input,
  // whose output is recomputable and goes through a batch norm.
  bool supports(const Step& step) const { return step.kind == StepKind::Convolve && taps_[step.operation] > 0; }
  // Whether it has those of the last batch.
  bool available(const Step& step) const { return supports(step) && computed_[step.operation]; }

  struct Moments {
    double sum, square;
  };
  // Of an output channel's change when weights and biases change by `steps`.
  Moments moments(const Step& step, int channel, const Weights& steps) const;

 private:
  bool worthwhile(const Step& step, std::size_t directions) const;
  void computeBlock(const Step& step, int block, const Problem& problem, const ChangeBase& base, float* read,
                    double* products) const;

  const Plan& plan_;
  const Kernels& kernels_;
  int blocks_;
  // By operation: its taps, of which the last reads 1, 0 where there are no products; [taps + output channels][taps], G
  // and, by output channel, c; whether that is of the last batch.
  std::vector<int> taps_;
  std::vector<Aligned<double>> products_;
  std::vector<bool> computed_;
  Aligned<double> ofBlocks_;  // by block, of one operation at a time
  AlignedFloats read_;        // by thread, what each tap reads: a plane each
  std::size_t readSize_ = 0;  // floats of it
};

}  // namespace deepzero
