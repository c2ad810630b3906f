// The vector of the instruction set that the including file is compiled for. A block's sixteen lanes are
// kLanes / kWidth such vectors: kernels repeat themselves over these parts.
//
// Only headers of macros and plain types may be included here and in kernel sources: an inline function of the
// standard library would be emitted with this file's instructions and might be the copy that other code links to.
#pragma once

#include "kernels/kernels.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

// Vectors of float or double.
template <typename Scalar>
struct Simd {
  static constexpr int kWidth = kVectorBytes / sizeof(Scalar);
  typedef Scalar Vector __attribute__((vector_size(kVectorBytes)));
  typedef Scalar Memory __attribute__((vector_size(kVectorBytes), aligned(sizeof(Scalar)), may_alias));
};

inline constexpr int kWidth = Simd<float>::kWidth;
using Vector = Simd<float>::Vector;
using DoubleVector = Simd<double>::Vector;

static inline Vector load(const float* at) { return *reinterpret_cast<const Simd<float>::Memory*>(at); }
static inline DoubleVector load(const double* at) { return *reinterpret_cast<const Simd<double>::Memory*>(at); }
static inline void store(float* at, Vector value) { *reinterpret_cast<Simd<float>::Memory*>(at) = value; }
static inline void store(double* at, DoubleVector value) { *reinterpret_cast<Simd<double>::Memory*>(at) = value; }
static inline Vector broadcast(float value) { return value - Vector{}; }
static inline DoubleVector broadcast(double value) { return value - DoubleVector{}; }

// The operands' order makes a NaN in `value` pass.
static inline Vector atLeast(Vector least, Vector value) { return least > value ? least : value; }
static inline DoubleVector atLeast(DoubleVector least, DoubleVector value) { return least > value ? least : value; }

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
