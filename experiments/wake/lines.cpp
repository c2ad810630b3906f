// The wake with a small network as a process that answers JSON lines: lines CONFIG STEPS REYNOLDS
//
// A query's numbers are the weights of one 3×3 convolution, [2][3][3][3], that corrects the wake from its start; the
// loss is the mean square of all measured values. Everything is by plain loops, one rollout at a time.
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "deepzero_simulator.h"
#include "wake.hpp"

namespace {

constexpr std::size_t kWeights = 2 * 3 * 3 * 3;

// The convolution of a map with a border of zeros.
std::vector<double> convolve(const std::vector<double>& weights, const std::vector<double>& in,
                             const deepzero_sizes& sizes) {
  const long rows = sizes.output[1], columns = sizes.output[2];
  std::vector<double> out(2 * rows * columns);
  for (long o = 0; o < 2; ++o) {
    for (long y = 0; y < rows; ++y) {
      for (long x = 0; x < columns; ++x) {
        double& sum = out[(o * rows + y) * columns + x];
        for (long tap = 0; tap < 27; ++tap) {
          const long i = y + tap % 9 / 3 - 1, j = x + tap % 3 - 1;
          if (i < 0 || j < 0 || i >= rows || j >= columns) continue;
          sum += weights[o * 27 + tap] * in[(tap / 9 * rows + i) * columns + j];
        }
      }
    }
  }
  return out;
}

double lossOf(const deepzero_simulator& functions, void* simulator, const deepzero_sizes& sizes, double reynolds,
              int steps, const std::vector<double>& start, const std::vector<double>& weights) {
  std::vector<double> state = start, next(start.size()), values(sizes.values);
  std::vector<double> observation(3 * sizes.observation[1] * sizes.observation[2]);
  double squares = 0;
  for (int step = 0; step < steps; ++step) {
    functions.step(simulator, 1, &reynolds, state.data(), nullptr, next.data());
    functions.observe(simulator, 1, &reynolds, next.data(), observation.data());
    functions.correct(simulator, 1, &reynolds, next.data(), convolve(weights, observation, sizes).data(), state.data());
    functions.measure(simulator, 1, &reynolds, state.data(), values.data());
    for (const double value : values) squares += value * value;
  }
  return squares / static_cast<double>(steps) / static_cast<double>(values.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "lines CONFIG STEPS REYNOLDS\n";
    return 2;
  }
  const deepzero_simulator& functions = *deepzero_simulator_interface();
  deepzero_sizes sizes;
  char message[256] = "";
  void* simulator = functions.create(argv[1], &sizes, message, sizeof message);
  if (simulator == nullptr) {
    std::cerr << message << "\n";
    return 1;
  }
  std::vector<double> start = wake::Solver(std::atoi(argv[1])).start();
  start.resize(static_cast<std::size_t>(sizes.state));
  std::cout.precision(17);
  for (std::string line; std::getline(std::cin, line);) {
    const std::size_t id = line.find("\"id\":\""), x = line.find("\"x\":[");
    if (id == std::string::npos || x == std::string::npos) continue;  // the greeting
    std::vector<double> weights;
    for (const char* at = line.c_str() + x + 5; weights.size() < kWeights;) {
      char* end = nullptr;
      const double weight = std::strtod(at, &end);
      if (end == at) break;
      weights.push_back(weight);
      at = end + (*end == ',');
    }
    const std::size_t begin = id + 6;
    std::cout << "{\"id\":\"" << line.substr(begin, line.find('"', begin) - begin) << "\",";
    if (weights.size() < kWeights) {
      std::cout << "\"failed\":\"expected " << kWeights << " numbers\"}" << std::endl;
      continue;
    }
    std::cout << "\"loss\":"
              << lossOf(functions, simulator, sizes, std::atof(argv[3]), std::atoi(argv[2]), start, weights) << "}"
              << std::endl;
  }
  functions.destroy(simulator);
}
