// The exponential function, and signs, of vectors.
#pragma once

#include <cstdint>

#include "kernels/vector.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

template <typename Scalar>
struct Format;
template <>
struct Format<float> {
  typedef std::uint32_t Bits;
  static constexpr Bits kMantissaBits = 23, kExponentBias = 127, kSign = Bits{1} << 31;
  // Adding it to a small number rounds that to an integer, which is then in the lowest bits.
  static constexpr float kRounder = 0x1.8p23f;
  // e to the power of it is still a normal number.
  static constexpr float kLeastExponent = -87;
  // Its first bits, of which products with small integers are exact, and the others.
  static constexpr float kLn2 = 0x1.63p-1f, kLn2Rest = -2.12194440054690583e-4f;
  static constexpr int kSeriesTerms = 8;
};
template <>
struct Format<double> {
  typedef std::uint64_t Bits;
  static constexpr Bits kMantissaBits = 52, kExponentBias = 1023, kSign = Bits{1} << 63;
  static constexpr double kRounder = 0x1.8p52;
  static constexpr double kLeastExponent = -708;
  static constexpr double kLn2 = 0x1.62e42feep-1, kLn2Rest = 1.90821492927058770e-10;
  static constexpr int kSeriesTerms = 13;
};

template <typename Scalar>
using VectorOf = typename Simd<Scalar>::Vector;
template <typename Scalar>
struct BitsOf {
  typedef typename Format<Scalar>::Bits Vector __attribute__((vector_size(kVectorBytes)));
};

template <typename Scalar>
static inline VectorOf<Scalar> magnitude(VectorOf<Scalar> x) {
  using Bits = typename BitsOf<Scalar>::Vector;
  return (VectorOf<Scalar>)((Bits)x & ~Format<Scalar>::kSign);
}

// A number with the sign of another.
template <typename Scalar>
static inline VectorOf<Scalar> withSign(VectorOf<Scalar> x, VectorOf<Scalar> sign) {
  using Bits = typename BitsOf<Scalar>::Vector;
  return (VectorOf<Scalar>)((Bits)magnitude<Scalar>(x) | ((Bits)sign & Format<Scalar>::kSign));
}

// eˣ = power·(1 + rest) for x <= 0, power the nearest power of two. Below kLeastExponent it is the exponential of that.
// A NaN passes.
template <typename Scalar>
struct Exponential {
  using Vector = VectorOf<Scalar>;
  Vector power, rest;

  explicit Exponential(Vector x) {
    using Of = Format<Scalar>;
    using Bits = typename BitsOf<Scalar>::Vector;
    const Vector one = broadcast(Scalar{1}), rounder = broadcast(Of::kRounder);
    const Vector exponent = atLeast(broadcast(Of::kLeastExponent), x);
    const Vector rounded = exponent * broadcast(1 / (Of::kLn2 + Of::kLn2Rest)) + rounder, twos = rounded - rounder;
    power = (Vector)(((Bits)rounded + Of::kExponentBias) << Of::kMantissaBits);
    const Vector r = exponent - twos * broadcast(Of::kLn2) - twos * broadcast(Of::kLn2Rest);
    // eʳ − 1 = r·(1 + r/2·(1 + r/3·(…))), |r| <= ln(2)/2.
    Vector series = one;
    for (int n = Of::kSeriesTerms; n > 1; --n) series = series * r * broadcast(1 / static_cast<Scalar>(n)) + one;
    rest = series * r;
  }

  Vector value() const { return power + power * rest; }
  // eˣ − 1, accurate also near 0.
  Vector minusOne() const { return (power - broadcast(Scalar{1})) + power * rest; }
};

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
