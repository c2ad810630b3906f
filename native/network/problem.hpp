// What a loss is evaluated on, and how a long computation is watched and stopped.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/kernels.hpp"

namespace deepzero {

enum class Loss { CrossEntropy, MeanSquaredError, MeanAbsoluteError };

// A point in parameter space and a mini-batch. It borrows: everything outlives the computation, nothing is written.
struct Problem {
  const float* parameters = nullptr;  // Graph::parameterCount()
  const float* statistics = nullptr;  // Graph::statisticsCount()
  const float* images = nullptr;      // NCHW
  int count = 0;                      // images, > 0
  Loss loss = Loss::CrossEntropy;
  const std::int32_t* labels = nullptr;  // cross-entropy: one per image, each within the outputs
  const float* targets = nullptr;        // other losses: one per output of each image
  bool training = true;                  // batch norm uses batch statistics
};

// The images of a block that there are.
inline int lanesOf(const Problem& problem, int block) { return std::min(kLanes, problem.count - block * kLanes); }

// How one computation runs. `progress` is called from a compute thread, one call at a time.
struct Control {
  int threads = 1;
  const std::atomic<bool>* cancelled = nullptr;
  std::function<void(std::size_t done, std::size_t total)> progress;

  bool stop() const { return cancelled != nullptr && cancelled->load(std::memory_order_relaxed); }
};

struct Evaluation {
  double loss = 0;
  std::vector<float> outputs;     // `count` rows
  std::vector<float> statistics;  // running statistics after this batch
};

// ∂loss/∂parameters by back-propagation, an entry of `values` for each.
struct Gradient : Evaluation {
  std::vector<double> values;
};

// What activations and their gradients are computed in.
enum class Precision { Single, Double };

struct Estimate : Evaluation {
  std::vector<double> values;
  std::size_t queries = 0;
};

// Thrown when Control::cancelled was seen.
struct Cancelled : std::runtime_error {
  Cancelled() : std::runtime_error("cancelled") {}
};

// Thrown when a loss is NaN or infinite.
struct NonFinite : std::runtime_error {
  // A flat parameter index (CGE), a query's number (RGE), or −1 for the unperturbed loss.
  long long coordinate;
  explicit NonFinite(long long at) : std::runtime_error("the loss is not finite"), coordinate(at) {}
};

}  // namespace deepzero
