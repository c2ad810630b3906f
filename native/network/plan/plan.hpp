// How a graph is executed: its steps, the segments they form, and the buffers that store its values.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/kernels.hpp"
#include "network/plan/graph.hpp"
#include "network/plan/layout.hpp"

namespace deepzero {

enum class StepKind { Convolve, Activate, AveragePool, Flatten };

// The work of one kernel. Batch norm, sum, nonlinearity and max pool that follow each other in this order, with no
// other reader in between, are fused into one activation; each of them can be absent.
struct Step {
  StepKind kind = StepKind::Activate;
  int operation = -1;       // an activation's batch norm, −1 without one; for other kinds the operation itself
  int inputs[2] = {0, -1};  // the second is an activation's residual
  int output = 0;
  Activation activation;

  bool pools() const { return activation.poolKernel > 1 || activation.poolStride > 1; }
};

// Consecutive steps through which each image block runs independently. All blocks finish a segment before any starts
// the next. A segment ends after a convolution or linear layer, and wherever the statistics of the whole mini-batch
// must be known. Its start is a cut point: a query that perturbs a parameter of the segment restarts there, from the
// values that earlier segments stored.
struct Segment {
  int firstStep = 0;
  int endStep = 0;
  std::vector<int> measured;  // values computed here whose channel moments a batch norm needs
};

class Plan {
 public:
  explicit Plan(const Graph& graph);

  const std::vector<Step>& steps() const { return steps_; }
  // Segment 0 has no steps: it loads value 0, the network's input.
  const std::vector<Segment>& segments() const { return segments_; }
  int operationCount() const { return static_cast<int>(convolutions_.size()); }
  const Map& map(int value) const { return maps_[value]; }
  int outputValue() const { return output_; }

  // The step that an operation is part of.
  int stepOf(int operation) const { return stepOf_[operation]; }
  // The step that computes a value, null for the network's input.
  const Step* producerOf(int value) const { return value > 0 ? &steps_[stepOf_[value - 1]] : nullptr; }
  // The name of the kernel that runs a step on a whole value, or on a stored change of all its channels.
  const char* kernelOf(const Step& step) const;

  // The segment that reads an operation's parameters.
  int segmentOf(int operation) const { return segmentOf_[operation]; }
  // The last segment up to this one whose input is the only value that it and later segments read from before: the
  // start of a residual block, or outside of residual blocks the segment itself.
  int blockOf(int segment) const { return blockOf_[segment]; }
  // The segment that computes a value.
  int producedIn(int value) const { return producedIn_[value]; }
  // Whether a value is stored for the whole mini-batch. The others are activations of stored values that only their own
  // segment reads; they are recomputed where they are needed.
  bool stored(int value) const { return stored_[value]; }

  // Whether a convolution's output can be computed where it is read, instead of stored: it is not the network's output,
  // and only activations read it, none of them as a residual.
  bool recomputable(int value) const { return recomputable_[value]; }

  // A buffer for every stored value, for the pass that queries restart from.
  const Layout& cache() const { return cache_; }
  // Stored values in as few buffers as their lifetimes allow, for passes that no query restarts from.
  const Layout& scratch() const { return scratch_; }
  // Values that are not stored: one block of each.
  const Layout& locals() const { return locals_; }
  // The unperturbed values that changes need (change_base.hpp): the value itself or its distance from a center of each
  // channel; and for each activation with a residual, by its output, the sum before nonlinearity and pool.
  const Layout& bases() const { return bases_; }
  const Layout& sums() const { return sums_; }
  // The first step that reads a value in bases(), −1 for other values.
  int baseReader(int value) const { return baseReader_[value]; }
  // Whether bases() holds distances from a center: where all readers are batch norms.
  bool centered(int value) const { return centered_[value]; }

  // Whether back-propagation needs a value's gradient: the loss depends on the value, and the value on a parameter.
  bool needsGradient(int value) const { return needsGradient_[value]; }
  // The step that is the first, going backwards, to write to a value's gradient; the others add to it. For the
  // network's output, which the loss writes, the number of steps.
  int gradientFrom(int value) const { return gradientFrom_[value]; }
  // The map of a value's gradient. Gradients have no border.
  Map gradientMap(int value) const { return {maps_[value].channels, maps_[value].height, maps_[value].width, 0}; }
  // The gradients of stored values, in as few buffers as their lifetimes allow, and of the other values.
  const Layout& gradients() const { return gradients_; }
  const Layout& localGradients() const { return localGradients_; }

  // The windows of a convolution, linear layer, average pool or option-A shortcut.
  const ConvolutionShape& convolutionShape(int operation) const { return convolutions_[operation]; }
  // The most floats of scratch that the Winograd kernel needs, for convolutions and for transposed ones.
  std::size_t winogradScratch() const { return winogradScratch_; }
  std::size_t transposedWinogradScratch() const { return transposedWinogradScratch_; }
  // The number of zero channels that an option-A shortcut puts before those of its input; 0 for other steps.
  int paddingBefore(const Step& step) const {
    return (maps_[step.output].channels - maps_[step.inputs[0]].channels) / 2;
  }

 private:
  void makeSteps();
  void findSteps();
  void makeSegments();
  void makeBlocks();
  void makeLayouts();
  void findRecomputable();
  void makeBases();
  void makeGradients();

  const Graph& graph_;
  std::vector<Step> steps_;
  std::vector<Segment> segments_;
  std::vector<Map> maps_;
  std::vector<ConvolutionShape> convolutions_;  // by operation
  std::vector<int> stepOf_, segmentOf_, blockOf_, producedIn_;
  std::vector<int> lastUse_;  // by value, the last step that reads it; −1 for none
  std::vector<bool> stored_, recomputable_;
  std::vector<int> baseReader_;
  std::vector<bool> centered_;
  std::vector<bool> needsGradient_;
  std::vector<int> gradientFrom_;
  Layout cache_, scratch_, locals_, bases_, sums_, gradients_, localGradients_;
  int output_ = 0;
  std::size_t winogradScratch_ = 0, transposedWinogradScratch_ = 0;
};

}  // namespace deepzero
