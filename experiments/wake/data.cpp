// Writes reference trajectories on the coarse grid, as float32: data OUT FIRST FRAMES REYNOLDS…
//
// For each Reynolds number the fine solver makes FIRST steps and then FRAMES − 1 more; each of the last FRAMES states
// is averaged over the faces of the coarse grid. OUT receives [Reynolds number][frame][u, v, drag, lift].
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "wake.hpp"

namespace {

constexpr int kCoarse = 32, kFine = 128, kRatio = kFine / kCoarse;

// The mean over the fine faces that make up each coarse one.
std::vector<float> coarsened(const wake::Solver& fine, const double* state) {
  std::vector<float> result;
  for (int i = 0; i <= 2 * kCoarse; ++i) {
    for (int j = 0; j < kCoarse; ++j) {
      double sum = 0;
      for (int k = 0; k < kRatio; ++k) sum += state[i * kRatio * kFine + j * kRatio + k];
      result.push_back(static_cast<float>(sum / kRatio));
    }
  }
  const double* v = state + fine.uSize();
  for (int i = 0; i < 2 * kCoarse; ++i) {
    for (int j = 0; j <= kCoarse; ++j) {
      double sum = 0;
      for (int k = 0; k < kRatio; ++k) sum += v[(i * kRatio + k) * (kFine + 1) + j * kRatio];
      result.push_back(static_cast<float>(sum / kRatio));
    }
  }
  for (const double* force = v + fine.vSize(); force < state + fine.size(); ++force) {
    result.push_back(static_cast<float>(*force));
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "data OUT FIRST FRAMES REYNOLDS…\n");
    return 2;
  }
  const int first = std::atoi(argv[2]), frames = std::atoi(argv[3]), simulations = argc - 4;
  std::FILE* out = std::fopen(argv[1], "wb");
  if (out == nullptr) {
    std::perror(argv[1]);
    return 1;
  }
  wake::Solver fine(kFine);
  bool written = true;
  for (int begin = 0; begin < simulations; begin += wake::kLanes) {
    const int count = simulations - begin < wake::kLanes ? simulations - begin : wake::kLanes;
    std::vector<std::vector<double>> states(count, fine.start()), next = states;
    std::vector<std::vector<float>> trajectories(count);
    double viscosities[wake::kLanes];
    for (int n = 0; n < count; ++n) viscosities[n] = wake::viscosityOf(std::atof(argv[4 + begin + n]));
    for (int step = 0; step < first + frames; ++step) {
      if (step >= first) {
        for (int n = 0; n < count; ++n) {
          const std::vector<float> frame = coarsened(fine, states[n].data());
          trajectories[n].insert(trajectories[n].end(), frame.begin(), frame.end());
        }
      }
      const double* from[wake::kLanes];
      double* to[wake::kLanes];
      for (int n = 0; n < count; ++n) {
        from[n] = states[n].data();
        to[n] = next[n].data();
      }
      fine.step(count, viscosities, from, to);
      states.swap(next);
      if (step % 50 == 0) {
        std::printf("%d of %d\n", begin / wake::kLanes * (first + frames) + step,
                    (simulations + wake::kLanes - 1) / wake::kLanes * (first + frames));
        std::fflush(stdout);
      }
    }
    for (const std::vector<float>& trajectory : trajectories) {
      written = written && std::fwrite(trajectory.data(), sizeof(float), trajectory.size(), out) == trajectory.size();
    }
  }
  if (std::fclose(out) != 0 || !written) {
    std::perror(argv[1]);
    return 1;
  }
}
