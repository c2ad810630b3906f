// The work of one query, counted from the plan alone.
#pragma once

#include <cstddef>
#include <vector>

#include "estimators/estimators.hpp"
#include "network/changes/changed_channels.hpp"
#include "runtime/engine.hpp"

namespace deepzero {

// For one image.
struct Work {
  // Multiply-adds of convolutions and linear layers, as the kernels do them: Winograd's 36 products per 4×4 tile,
  // recomputed convolutions twice.
  double done = 0;
  double direct = 0;    // the same convolutions as often, each by the direct kernel
  double elements = 0;  // numbers that activations, moments and pools read

  Work& operator+=(const Work& other) {
    done += other.done;
    direct += other.direct;
    elements += other.elements;
    return *this;
  }
  // Time in multiply-adds. A number that an activation reads from the caches takes 6 to 9 times as long as a
  // multiply-add on registers, with AVX-512 on an AMD EPYC (npm run bench -- kernels).
  double cost() const { return done + 8 * elements; }
};

// One call of a convolution kernel on `channels` of its input channels.
Work directWork(const ConvolutionShape& shape, int channels);
// One call of the Winograd kernel.
Work winogradWork(const ConvolutionShape& shape);

class QueryWork {
 public:
  explicit QueryWork(const Engine& engine);

  // One evaluation of the loss with this coordinate perturbed.
  Work of(std::size_t coordinate, Reuse reuse);

 private:
  Work ofChange(std::size_t coordinate);
  Work ofStep(const Step& step) const;
  Work ofConvolution(const Step& step) const;

  const Engine& engine_;
  Perturbation perturbation_;
  ChangedChannels changed_;
  std::vector<bool> measured_;  // by value, whether a batch norm reads it
  std::vector<Work> from_;      // by segment, of a pass that restarts there
};

// Work::cost() of one query of each parameter tensor.
std::vector<double> tensorCosts(const Engine& engine, Reuse reuse);

}  // namespace deepzero
