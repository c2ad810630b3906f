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
inline constexpr int kWidth = 16;
#elif defined(__AVX2__)
inline constexpr int kWidth = 8;
#else
inline constexpr int kWidth = 4;
#endif

typedef float Vector __attribute__((vector_size(kWidth * sizeof(float))));
typedef float Memory __attribute__((vector_size(kWidth * sizeof(float)), aligned(4), may_alias));

static inline Vector load(const float* at) { return *reinterpret_cast<const Memory*>(at); }
static inline void store(float* at, Vector value) { *reinterpret_cast<Memory*>(at) = value; }
static inline Vector broadcast(float value) { return value - Vector{}; }

// The operands' order makes a NaN in `value` pass.
static inline Vector atLeast(Vector floor, Vector value) { return floor > value ? floor : value; }

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
