#include "estimators/directions.hpp"

#include <algorithm>
#include <cmath>

#include "estimators/random.hpp"

namespace deepzero {

namespace {

constexpr double kTwoPi = 6.283185307179586476925286766559;

// Uniform in (0, 1): never 0, whose logarithm is infinite.
double uniform(std::uint32_t word) { return (word + 0.5) * 0x1p-32; }

// Two independent standard normal numbers from two words (Box–Muller).
void normalPair(std::uint32_t a, std::uint32_t b, double* out) {
  const double radius = std::sqrt(-2 * std::log(uniform(a)));
  out[0] = radius * std::cos(kTwoPi * uniform(b));
  out[1] = radius * std::sin(kTwoPi * uniform(b));
}

}  // namespace

void Directions::draw(std::size_t query, std::size_t first, std::size_t count, double* out) const {
  // A query's numbers start at a block of its own, far from every other's.
  const std::uint64_t origin = (static_cast<std::uint64_t>(query) << 32) + first / 4;
  for (std::size_t i = 0; i < count; i += 4) {
    const PhiloxBlock words = randomBlock(options_.seed, options_.stream, options_.index, origin + i / 4);
    double numbers[4];
    if (options_.distribution == Distribution::Rademacher) {
      for (int k = 0; k < 4; ++k) numbers[k] = words[k] >> 31 ? 1.0 : -1.0;
    } else {
      normalPair(words[0], words[1], numbers);
      normalPair(words[2], words[3], numbers + 2);
    }
    std::copy_n(numbers, std::min<std::size_t>(4, count - i), out + i);
  }
}

std::vector<double> Directions::factors(const double* direction) const {
  std::vector<double> result(graph_.parameters().size());
  factors(direction, result.data());
  return result;
}

void Directions::factors(const double* direction, double* out) const {
  const auto& parameters = graph_.parameters();
  std::fill_n(out, parameters.size(), 1.0);
  if (!normalised()) return;
  double total = 0;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    double squares = 0;
    for (std::size_t i = 0; i < parameters[p].size; ++i) {
      const double entry = direction[parameters[p].offset + i];
      squares += entry * entry;
    }
    out[p] = 1 / std::sqrt(squares);
    total += squares;
  }
  if (!options_.perTensor) std::fill_n(out, parameters.size(), 1 / std::sqrt(total));
}

}  // namespace deepzero
