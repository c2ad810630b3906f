// Average pooling.
#include "kernels/table.hpp"
#include "kernels/vector.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

template <typename Scalar>
void averagePool(const ConvolutionShape& shape, const Scalar* plane, Scalar* out) {
  using Vector = typename Simd<Scalar>::Vector;
  // Copies, since a store may alias the shape, which the compiler would then read again for every pixel.
  const int kernelHeight = shape.kernelHeight, kernelWidth = shape.kernelWidth, width = shape.out.width;
  const std::ptrdiff_t rowStride = shape.in.rowStride(), step = std::ptrdiff_t{shape.stride} * kLanes;
  const Vector scale = broadcast(Scalar{1} / (static_cast<Scalar>(kernelHeight) * static_cast<Scalar>(kernelWidth)));
  for (int y = 0; y < shape.out.height; ++y) {
    const Scalar* window = plane + shape.in.at(0, y * shape.stride, 0);
    Scalar* to = out + shape.out.at(0, y, 0);
    for (int x = 0; x < width; ++x, window += step, to += kLanes) {
      for (int part = 0; part < kLanes; part += Simd<Scalar>::kWidth) {
        Vector total{};
        // Sums of rows keep the rounding of large windows small.
        for (int i = 0; i < kernelHeight; ++i) {
          const Scalar* row = window + i * rowStride + part;
          Vector sum{};
          for (int j = 0; j < kernelWidth; ++j) sum += load(row + j * kLanes);
          total += sum;
        }
        store(to + part, total * scale);
      }
    }
  }
}

template void averagePool(const ConvolutionShape&, const float*, float*);
template void averagePool(const ConvolutionShape&, const double*, double*);

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
