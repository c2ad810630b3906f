// Multiply-adds on registers alone, as fast as the instruction set allows.
#include "kernels/table.hpp"
#include "kernels/vector.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

// Independent chains: two instructions a cycle with a latency of four cycles need eight. With two operands, twelve
// still fit 16 registers.
static constexpr int kChains = 12;

// Volatile, so that the compiler cannot compute the result.
static const volatile float operands[2] = {0.999f, 0.001f};

double multiplyAdds(double count) {
  const long rounds = static_cast<long>(count / (kChains * kWidth)) + 1;
  const Vector factor = broadcast(operands[0]), term = broadcast(operands[1]);
  Vector chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = broadcast(static_cast<float>(i));
  for (long round = 0; round < rounds; ++round) {
    for (int i = 0; i < kChains; ++i) chain[i] = chain[i] * factor + term;
  }
  float sum = 0;
  for (int i = 0; i < kChains; ++i) {
    for (int lane = 0; lane < kWidth; ++lane) sum += chain[i][lane];
  }
  // Never so large, which the compiler cannot know: so it cannot remove the loop.
  return static_cast<double>(rounds) * kChains * kWidth + (sum > 1e30f ? 1 : 0);
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
