// The kernels of one instruction set, as its table lists them. Contracts: kernels.hpp.
#pragma once

#include "kernels/kernels.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

void convolution(const ConvolutionShape& shape, const float* in, const float* packedWeights, const float* bias,
                 float* out);
void moments(const Map& map, const float* in, int lanes, double* mean, double* squares);
void normalize(const Map& inMap, const float* in, const float* mean, const float* scale, const float* shift, float floor,
               const Map& outMap, float* out);
void clamp(const Map& inMap, const float* in, float floor, const Map& outMap, float* out);
void add(const Map& aMap, const float* a, const Map& bMap, const float* b, float floor, const Map& outMap, float* out);
void subsample(const Map& inMap, const float* in, int stride, const Map& outMap, float* out);
void maxPool(const Map& inMap, const float* in, int kernel, int stride, const Map& outMap, float* out);
void averagePool(const Map& inMap, const float* in, const Map& outMap, float* out);

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
