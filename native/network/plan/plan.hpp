// How a graph is executed: which steps, in which segments, and where each value is stored.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/kernels.hpp"
#include "network/plan/graph.hpp"
#include "network/plan/layout.hpp"

namespace deepzero {

enum class StepKind { Convolve, Activate, AveragePool, Flatten };

// One kernel's work. What follows each other pixel by pixel, and is read by nothing else between, is fused into one
// activation: batch norm, sum, ReLU and max pool in this order, each of which can be absent.
struct Step {
  StepKind kind = StepKind::Activate;
  int operation = -1;       // the one with parameters, or of its own kind; −1 for an activation without batch norm
  int inputs[2] = {0, -1};  // the second is an activation's residual
  int output = 0;
  Activation activation;

  bool pools() const { return activation.poolKernel > 1 || activation.poolStride > 1; }
};

// A run of steps that each image block takes on its own; all blocks have passed one segment before any enters the next.
// A segment ends with its one convolution or linear layer, and wherever batch statistics of the whole mini-batch must
// be known first. Its start is a cut point: a query that perturbs anything in it restarts there,
// from the values that earlier segments stored.
struct Segment {
  int firstStep = 0;
  int endStep = 0;
  std::vector<int> measured;  // values produced here whose channel moments a batch norm needs
};

class Plan {
 public:
  explicit Plan(const Graph& graph);

  const std::vector<Step>& steps() const { return steps_; }
  // Segment 0 has no steps: it produces value 0, the network's input.
  const std::vector<Segment>& segments() const { return segments_; }
  int operationCount() const { return static_cast<int>(convolutions_.size()); }
  const Map& map(int value) const { return maps_[value]; }
  int outputValue() const { return output_; }

  // The step that computes an operation, alone or with others.
  int stepOf(int operation) const { return stepOf_[operation]; }
  // The step that yields a value, null for the network's input.
  const Step* producerOf(int value) const { return value > 0 ? &steps_[stepOf_[value - 1]] : nullptr; }
  // The kernel that a step runs on a whole value, or on a stored change of all its channels, in words.
  const char* kernelOf(const Step& step) const;

  // The segment that reads an operation's parameters.
  int segmentOf(int operation) const { return segmentOf_[operation]; }
  // The last segment, up to this one, through whose input all that follows runs: where a residual block starts, or the
  // segment itself outside of them.
  int blockOf(int segment) const { return blockOf_[segment]; }
  // The segment that produces a value.
  int producedIn(int value) const { return producedIn_[value]; }
  // Whether a value is kept for the whole mini-batch. The others are read in their own segment only: an activation of
  // stored values, recomputed where it is needed.
  bool stored(int value) const { return stored_[value]; }

  // Whether a convolution's output can be computed again where it is read, instead of stored: activations alone read
  // it, none of them as a residual, and it is not the network's.
  bool recomputable(int value) const { return recomputable_[value]; }

  // Stored values each with a buffer of their own, for the pass that queries restart from.
  const Layout& cache() const { return cache_; }
  // Stored values in as few buffers as their lifetimes allow, for passes that nobody restarts from.
  const Layout& scratch() const { return scratch_; }
  // Values that live within one segment: one block each.
  const Layout& locals() const { return locals_; }
  // What changes start from: of a value, itself or its distance from a center of each channel; and, by its output, what
  // an activation with a residual sums up, before floor and pool.
  const Layout& bases() const { return bases_; }
  const Layout& sums() const { return sums_; }
  // The first step that reads a value whose base is kept, −1 for other values.
  int baseReader(int value) const { return baseReader_[value]; }
  // Whether no reader needs a value's base as it is: batch norms can do with distances from a center.
  bool centered(int value) const { return centered_[value]; }

  // Whether the loss depends on a value, and the value on a parameter: back-propagation needs the gradients of these
  // alone.
  bool needsGradient(int value) const { return needsGradient_[value]; }
  // The last step that a gradient comes from to a value that carries one, so that the others add to it; after all steps
  // for the output.
  int gradientFrom(int value) const { return gradientFrom_[value]; }
  // The map of a value's gradient, which has no border.
  Map gradientMap(int value) const { return {maps_[value].channels, maps_[value].height, maps_[value].width, 0}; }
  // Gradients of stored values in as few buffers as their lifetimes allow, and of values that live within one segment.
  const Layout& gradients() const { return gradients_; }
  const Layout& localGradients() const { return localGradients_; }

  // The windows of a convolution, linear layer, average pool or option-A shortcut.
  const ConvolutionShape& convolutionShape(int operation) const { return convolutions_[operation]; }
  // Floats of scratch that the Winograd kernel needs at most, and for what makes gradients of inputs.
  std::size_t winogradScratch() const { return winogradScratch_; }
  std::size_t transposedWinogradScratch() const { return transposedWinogradScratch_; }
  // The channels of zeros that an option-A shortcut, and no other step, puts before those of its input.
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
