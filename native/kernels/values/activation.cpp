// Normalisation, residual sum, nonlinearity and max pool in one sweep over a plane. Contract: list.hpp.
#include "kernels/nonlinearities.hpp"
#include "kernels/table.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

// The larger; NaN in either passes.
template <typename Vector>
static inline Vector larger(Vector a, Vector b) {
  return ((a != a) | (a > b)) ? a : b;
}

// Calls `at(offset in the input, in the residual, in the output)` for every vector of every output pixel; the offsets
// in input and residual are those of the first pixel of its window.
template <typename Scalar, typename Pixel>
static inline void forPixels(const Activation& shape, int stride, Pixel at) {
  // Copies, since a store through a vector may alias what is behind a reference.
  const Map inMap = shape.in, residualMap = shape.residual, outMap = shape.out;
  for (int y = 0; y < outMap.height; ++y) {
    std::ptrdiff_t in = inMap.at(0, y * stride, 0), residual = residualMap.at(0, y * stride, 0);
    std::ptrdiff_t out = outMap.at(0, y, 0);
    for (int x = 0; x < outMap.width; ++x) {
      for (int part = 0; part < kLanes; part += Simd<Scalar>::kWidth) at(in + part, residual + part, out + part);
      in += stride * kLanes;
      residual += stride * kLanes;
      out += kLanes;
    }
  }
}

// Not inlined, since its loop needs the registers.
template <bool Residual, int Kernel, typename F, typename Scalar>
__attribute__((noinline)) static void activatePlane(const Activation& shape, const F f, const AffineOf<Scalar>& affine,
                                                    const Scalar* in, const Scalar* residual, Scalar* out) {
  using Vector = typename Simd<Scalar>::Vector;
  const Vector mean = broadcast(affine.mean), scale = broadcast(affine.scale), shift = broadcast(affine.shift);
  const std::ptrdiff_t inRow = shape.in.rowStride(), residualRow = shape.residual.rowStride();
  const int kernel = Kernel > 0 ? Kernel : shape.poolKernel;
  const int stride = Kernel > 0 ? Kernel : shape.poolStride;
  forPixels<Scalar>(shape, stride, [&](std::ptrdiff_t i, std::ptrdiff_t r, std::ptrdiff_t o) {
    Vector result{};
    for (int row = 0; row < kernel; ++row) {
      for (int column = 0; column < kernel; ++column) {
        Vector value = (load(in + i + row * inRow + column * kLanes) - mean) * scale + shift;
        if (Residual) value += load(residual + r + row * residualRow + column * kLanes);
        result = row + column == 0 ? value : larger(result, value);
      }
    }
    store(out + o, f.value(result));
  });
}

template <bool Residual, typename F, typename Scalar>
static inline void activatePlaneOf(const Activation& shape, const F& f, const AffineOf<Scalar>& affine,
                                   const Scalar* in, const Scalar* residual, Scalar* out) {
  if (shape.poolKernel == 1 && shape.poolStride == 1)
    return activatePlane<Residual, 1>(shape, f, affine, in, residual, out);
  if (shape.poolKernel == 2 && shape.poolStride == 2)
    return activatePlane<Residual, 2>(shape, f, affine, in, residual, out);
  activatePlane<Residual, 0>(shape, f, affine, in, residual, out);
}

template <typename Scalar>
void activate(const Activation& shape, const AffineOf<Scalar>* affine, const Scalar* in, const Scalar* residual,
              Scalar* out) {
  withNonlinearity<Scalar>(shape, [&](const auto& f) {
    for (int c = 0; c < shape.out.channels; ++c) {
      const Scalar* plane = in + c * shape.in.planeStride();
      Scalar* to = out + c * shape.out.planeStride();
      if (residual == nullptr) {
        activatePlaneOf<false>(shape, f, affine[c], plane, residual, to);
      } else {
        activatePlaneOf<true>(shape, f, affine[c], plane, residual + c * shape.residual.planeStride(), to);
      }
    }
  });
}

template void activate(const Activation&, const Affine*, const float*, const float*, float*);
template void activate(const Activation&, const AffineOf<double>*, const double*, const double*, double*);

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
