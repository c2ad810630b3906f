// Simulators in shared objects, by the interface of deepzero_simulator.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "include/deepzero_simulator.h"

namespace deepzero {

// A loaded shared object.
class SimulatorLibrary {
 public:
  // Throws std::invalid_argument, with the path, if it cannot be loaded, has changed since this process loaded it, or
  // is none of simulators of this version.
  explicit SimulatorLibrary(const std::string& path);

  const deepzero_simulator& functions() const { return *functions_; }
  const std::string& path() const { return path_; }
  // A digest of the file that was loaded.
  std::uint64_t content() const { return content_; }

 private:
  struct Close {
    void operator()(void* handle) const;
  };
  std::string path_;
  std::uint64_t content_ = 0;
  std::unique_ptr<void, Close> handle_;
  const deepzero_simulator* functions_ = nullptr;
};

// A simulator, for one thread. Of functions that fail for some of many trajectories, those are found one at a time.
class Simulator {
 public:
  // Throws std::invalid_argument if it cannot be made, or its sizes make no sense.
  Simulator(std::shared_ptr<const SimulatorLibrary> library, std::string config);
  ~Simulator();
  Simulator(const Simulator&) = delete;
  Simulator& operator=(const Simulator&) = delete;

  // An equal one.
  std::unique_ptr<Simulator> clone() const { return std::make_unique<Simulator>(library_, config_); }

  const std::string& path() const { return library_->path(); }
  std::uint64_t content() const { return library_->content(); }
  const std::string& config() const { return config_; }
  const deepzero_sizes& sizes() const { return sizes_; }
  bool corrects() const { return functions().correct != nullptr; }
  bool hasLoss() const { return functions().loss != nullptr; }
  std::size_t observation() const { return productOf(sizes_.observation); }
  std::size_t output() const { return productOf(sizes_.output); }
  std::size_t values() const { return static_cast<std::size_t>(sizes_.values); }
  std::size_t state() const { return static_cast<std::size_t>(sizes_.state); }
  std::size_t parameters() const { return static_cast<std::size_t>(sizes_.parameters); }

  // `failed`, [count], becomes true where a function fails; those for which it is true already need not be right.
  void observe(int count, const double* parameters, const double* state, double* observation, bool* failed);
  void step(int count, const double* parameters, const double* state, const double* output, double* next, bool* failed);
  void correct(int count, const double* parameters, const double* state, const double* output, double* next,
               bool* failed);
  void measure(int count, const double* parameters, const double* state, double* values, bool* failed);
  // NaN if it fails.
  double loss(std::size_t steps, const double* parameters, const double* values, const float* targets);

 private:
  using Move = int(void*, int, const double*, const double*, const double*, double*);

  const deepzero_simulator& functions() const { return library_->functions(); }
  void move(Move* function, int count, const double* parameters, const double* state, const double* output,
            double* next, bool* failed);
  static std::size_t productOf(const std::int64_t (&extents)[3]) {
    return static_cast<std::size_t>(extents[0] * extents[1] * extents[2]);
  }

  std::shared_ptr<const SimulatorLibrary> library_;
  std::string config_;
  deepzero_sizes sizes_{};
  void* simulator_ = nullptr;
};

}  // namespace deepzero
