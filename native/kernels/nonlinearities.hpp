// The nonlinearities of activations: for each f its value f(z), a gradient f′(z)·g, and its change f(z + Δ) − f(z),
// which never subtracts two nearly equal numbers. They are monotone, so that f of a maximum is the maximum of f. A NaN
// passes.
#pragma once

#include "kernels/exponential.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

template <typename Scalar>
struct Identity {
  using Vector = VectorOf<Scalar>;
  Vector value(Vector z) const { return z; }
  Vector gradient(Vector, Vector g) const { return g; }
  Vector change(Vector, Vector delta) const { return delta; }
};

// The compiler must not know that it is zero: then it would take a comparison and a mask for a maximum.
static const volatile float kZero = 0;

template <typename Scalar>
struct Relu {
  using Vector = VectorOf<Scalar>;
  Vector value(Vector z) const { return atLeast(zero, z); }
  Vector gradient(Vector z, Vector g) const { return z > Vector{} ? g : Vector{}; }
  // Δ itself where both values are positive.
  static Vector change(Vector z, Vector delta) {
    const Vector positive = atLeast(Vector{}, z);
    return atLeast(-positive, delta + (z - positive));
  }
  Vector zero = broadcast(static_cast<Scalar>(kZero));
};

// f(z) = slope·z + (1 − slope)·ReLU(z), of which both terms change in the direction of Δ.
template <typename Scalar>
struct LeakyRelu {
  using Vector = VectorOf<Scalar>;
  explicit LeakyRelu(double given)
      : slope(broadcast(static_cast<Scalar>(given))), rest(broadcast(static_cast<Scalar>(1 - given))) {}
  Vector value(Vector z) const { return z < Vector{} ? slope * z : z; }
  Vector gradient(Vector z, Vector g) const { return z > Vector{} ? g : slope * g; }
  Vector change(Vector z, Vector delta) const { return slope * delta + rest * Relu<Scalar>::change(z, delta); }
  Vector slope, rest;
};

template <typename Scalar>
struct Tanh {
  using Vector = VectorOf<Scalar>;
  // tanh|z| = (1 − e^(−2|z|)) / (1 + e^(−2|z|)).
  Vector value(Vector z) const {
    const Vector e = decay(z).minusOne();
    return withSign<Scalar>(-e / (e + broadcast(Scalar{2})), z);
  }
  // 1 − tanh² z = 4·e^(−2|z|) / (1 + e^(−2|z|))².
  Vector gradient(Vector z, Vector g) const {
    const Vector e = decay(z).value(), sum = e + broadcast(Scalar{1});
    return g * (broadcast(Scalar{4}) * e / (sum * sum));
  }
  // sinh Δ / (cosh z·cosh(z + Δ)), in exponentials that cannot overflow: with a = |z|, b = |z + Δ| and d = |Δ| it is
  // 2·(1 − e^(−2d))·e^(d − a − b) / ((1 + e^(−2a))·(1 + e^(−2b))). And d − a − b is 0 where the sign changes, elsewhere
  // −2·min(a, b).
  Vector change(Vector z, Vector delta) const {
    const Vector moved = z + delta, one = broadcast(Scalar{1});
    const Vector before = decay(z).value(), after = decay(moved).value();
    const Vector common = z * moved > Vector{} ? atLeast(before, after) : one;
    const Vector size = broadcast(Scalar{-2}) * decay(delta).minusOne() * common / ((one + before) * (one + after));
    return withSign<Scalar>(size, delta);
  }

 private:
  static Exponential<Scalar> decay(Vector z) {
    return Exponential<Scalar>(broadcast(Scalar{-2}) * magnitude<Scalar>(z));
  }
};

// Calls body(f) with an activation's nonlinearity.
template <typename Scalar, typename Body>
static inline void withNonlinearity(const Activation& shape, Body body) {
  switch (shape.nonlinearity) {
    case Nonlinearity::None: return body(Identity<Scalar>());
    case Nonlinearity::Relu: return body(Relu<Scalar>());
    case Nonlinearity::LeakyRelu: return body(LeakyRelu<Scalar>(shape.slope));
    case Nonlinearity::Tanh: return body(Tanh<Scalar>());
  }
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
