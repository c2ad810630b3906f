// The wake as a simulator that deepzero drives. Its network reads the velocities and the Reynolds number, and its
// output is added to the velocities after each step, as in the source.
//
// `config` is "ACROSS VALUES SU SV SRE WEIGHT": cells across; what is measured; the deviations by which u, v and the
// Reynolds number are divided for the network and for the measured values, and by which its output is multiplied; and
// the weight of the drag in the loss. VALUES is one of
//
//     velocity     u/SU and v/SV, [along + 1][across] and [along][across + 1]
//     flow         these, drag and lift; the loss is the mean squared error of velocities, and WEIGHT times the squared
//                  error of the mean drag
//     observation  what the network read
//
// A trajectory's parameter is the nominal Reynolds number.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "deepzero_simulator.h"
#include "wake.hpp"

namespace {

enum class Values { Velocity, Flow, Observation };

struct Wake {
  wake::Solver solver;
  Values values;
  double deviations[3];  // of u, v and the Reynolds number
  double weight;         // of the drag in the loss

  Wake(int across, Values what, const double (&given)[3], double dragWeight)
      : solver(across), values(what), deviations{given[0], given[1], given[2]}, weight(dragWeight) {}

  std::size_t cells() const { return static_cast<std::size_t>(solver.along()) * solver.across(); }
  std::size_t velocities() const { return solver.uSize() + solver.vSize(); }
  std::size_t vAt(int i, int j) const {
    return solver.uSize() + static_cast<std::size_t>(i) * (solver.across() + 1) + j;
  }
  // Numbers that a step is measured by, but for an observation.
  std::size_t measured() const { return velocities() + (values == Values::Flow ? 2 : 0); }
  // A state is the solver's, and behind it the velocities that the network read.
  std::size_t state() const { return solver.size() + velocities(); }
};

Wake& wakeOf(void* simulator) { return *static_cast<Wake*>(simulator); }

void* create(const char* config, deepzero_sizes* sizes, char* message, size_t length) try {
  int across = 0, end = 0;
  char word[16] = "";
  double deviations[3] = {}, weight = 0;
  const int read = std::sscanf(config, "%d %15s %lf %lf %lf %lf %n", &across, word, &deviations[0], &deviations[1],
                               &deviations[2], &weight, &end);
  const std::string values = word;
  const auto isPositive = [](double value) { return value > 0 && std::isfinite(value); };
  if (read != 6 || config[end] != '\0' || across < 4 || across > 1024 || across % 2 != 0 ||
      (values != "velocity" && values != "flow" && values != "observation") ||
      !std::all_of(deviations, deviations + 3, isPositive) || !(weight >= 0 && std::isfinite(weight))) {
    std::snprintf(message, length,
                  "expected cells across, from 4 to 1024 and even, what to measure, three deviations > 0 and a weight "
                  ">= 0, as in \"32 flow 0.3 0.2 900 0.01\", received \"%s\"",
                  config);
    return nullptr;
  }
  auto* made = new Wake(across,
                        values == "velocity" ? Values::Velocity
                        : values == "flow"   ? Values::Flow
                                             : Values::Observation,
                        deviations, weight);
  *sizes = {};
  sizes->parameters = 1;
  sizes->state = static_cast<int64_t>(made->state());
  const int64_t rows = made->solver.along(), columns = across;
  sizes->observation[0] = 3;
  sizes->output[0] = 2;
  sizes->observation[1] = sizes->output[1] = rows;
  sizes->observation[2] = sizes->output[2] = columns;
  sizes->values = made->values == Values::Observation ? 3 * rows * columns : static_cast<int64_t>(made->measured());
  return made;
} catch (const std::exception& error) {
  std::snprintf(message, length, "%s", error.what());
  return nullptr;
}

void destroy(void* simulator) { delete &wakeOf(simulator); }

// What the network reads of velocities: those of the faces before each cell, and the Reynolds number.
void observeOne(const Wake& wake, double reynolds, const double* velocities, double* observation) {
  const std::size_t cells = wake.cells();
  for (int i = 0; i < wake.solver.along(); ++i) {
    for (int j = 0; j < wake.solver.across(); ++j, ++observation) {
      observation[0] = velocities[static_cast<std::size_t>(i) * wake.solver.across() + j] / wake.deviations[0];
      observation[cells] = velocities[wake.vAt(i, j)] / wake.deviations[1];
      observation[2 * cells] = reynolds / wake.deviations[2];
    }
  }
}

int observe(void* simulator, int count, const double* parameters, const double* state, double* observation) {
  const Wake& wake = wakeOf(simulator);
  for (int n = 0; n < count; ++n) {
    observeOne(wake, parameters[n], state + n * wake.state(), observation + n * 3 * wake.cells());
  }
  return 0;
}

int step(void* simulator, int count, const double* parameters, const double* state, const double*, double* next) {
  Wake& wake = wakeOf(simulator);
  const std::size_t size = wake.solver.size();
  for (int first = 0; first < count; first += wake::kLanes) {
    const double* from[wake::kLanes];
    double* to[wake::kLanes];
    double viscosities[wake::kLanes];
    const int number = count - first < wake::kLanes ? count - first : wake::kLanes;
    for (int n = 0; n < number; ++n) {
      from[n] = state + (first + n) * wake.state();
      to[n] = next + (first + n) * wake.state();
      viscosities[n] = wake::viscosityOf(parameters[first + n]);
    }
    wake.solver.step(number, viscosities, from, to);
    for (int n = 0; n < number; ++n) std::memcpy(to[n] + size, to[n], wake.velocities() * sizeof(double));
  }
  return 0;
}

int correct(void* simulator, int count, const double*, const double* state, const double* output, double* next) {
  const Wake& wake = wakeOf(simulator);
  std::memcpy(next, state, count * wake.state() * sizeof(double));
  for (int n = 0; n < count; ++n, next += wake.state(), output += 2 * wake.cells()) {
    const double* added = output;
    for (int i = 0; i < wake.solver.along(); ++i) {
      for (int j = 0; j < wake.solver.across(); ++j, ++added) {
        next[static_cast<std::size_t>(i) * wake.solver.across() + j] += wake.deviations[0] * added[0];
        next[wake.vAt(i, j)] += wake.deviations[1] * added[wake.cells()];
      }
    }
  }
  return 0;
}

int measure(void* simulator, int count, const double* parameters, const double* state, double* values) {
  const Wake& wake = wakeOf(simulator);
  for (int n = 0; n < count; ++n, state += wake.state()) {
    if (wake.values == Values::Observation) {
      observeOne(wake, parameters[n], state + wake.solver.size(), values);
      values += 3 * wake.cells();
      continue;
    }
    for (std::size_t i = 0; i < wake.measured(); ++i) {
      *values++ = i < wake.velocities() ? state[i] / wake.deviations[i < wake.solver.uSize() ? 0 : 1] : state[i];
    }
  }
  return 0;
}

int loss(void* simulator, int64_t steps, const double*, const double* values, const float* targets, double* result) {
  const Wake& wake = wakeOf(simulator);
  if (wake.values != Values::Flow || targets == nullptr) return 1;
  const std::size_t velocities = wake.velocities();
  double squares = 0, drag = 0;
  for (int64_t step = 0; step < steps; ++step, values += wake.measured(), targets += wake.measured()) {
    for (std::size_t i = 0; i < velocities; ++i) squares += (values[i] - targets[i]) * (values[i] - targets[i]);
    drag += (values[velocities] - targets[velocities]) / static_cast<double>(steps);
  }
  *result = squares / static_cast<double>(steps * velocities) + wake.weight * drag * drag;
  return 0;
}

}  // namespace

const deepzero_simulator* deepzero_simulator_interface() {
  static const deepzero_simulator simulator = {
      DEEPZERO_SIMULATOR_VERSION, create, destroy, observe, step, correct, measure, loss,
  };
  return &simulator;
}
