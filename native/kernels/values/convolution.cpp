// Direct convolutions by the tiles of direct.hpp. Contracts: list.hpp.
#include "kernels/direct.hpp"
#include "kernels/table.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

template <typename Scalar>
void convolution(const ConvolutionShape& shape, const Scalar* in, const Scalar* packedWeights, const float* bias,
                 Scalar* out) {
  convolve(shape, AllChannels{shape.in.channels}, in, packedWeights, FromBias{bias}, out);
}

template void convolution(const ConvolutionShape&, const float*, const float*, const float*, float*);
template void convolution(const ConvolutionShape&, const double*, const double*, const float*, double*);

void addConvolution(const ConvolutionShape& shape, const float* in, const float* packedWeights, const float* bias,
                    float* out) {
  convolve(shape, AllChannels{shape.in.channels}, in, packedWeights, FromOutput{bias}, out);
}

void partialConvolution(const ConvolutionShape& shape, const float* in, const int* channels, int count,
                        const float* packedWeights, float* out) {
  convolve(shape, SomeChannels{count, channels}, in, packedWeights, FromBias{nullptr}, out);
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
