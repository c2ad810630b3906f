// The kernels of one instruction set, as its table lists them. Contracts: kernels.hpp.
#pragma once

#include "kernels/kernels.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

void convolution(const ConvolutionShape& shape, const float* in, const float* packedWeights, const float* bias,
                 float* out);
void moments(const Map& map, const float* in, int lanes, double* mean, double* squares);
void normalize(const Map& inMap, const float* in, const float* mean, const float* scale, const float* shift,
               float floor, const Map& outMap, float* out);
void clamp(const Map& inMap, const float* in, float floor, const Map& outMap, float* out);
void add(const Map& aMap, const float* a, const Map& bMap, const float* b, float floor, const Map& outMap, float* out);
void subsample(const Map& inMap, const float* in, int stride, const Map& outMap, float* out);
void maxPool(const Map& inMap, const float* in, int kernel, int stride, const Map& outMap, float* out);
void averagePool(const Map& inMap, const float* in, const Map& outMap, float* out);
void partialConvolution(const ConvolutionShape& shape, const float* in, const int* channels, int count,
                        const float* packedWeights, float* out);
void winograd(const ConvolutionShape& shape, const float* in, const float* transformedWeights, float* scratch,
              float* out);
void weightChange(const ConvolutionShape& shape, const float* plane, int row, int column, float step, float* out);
void changeMoments(const Map& map, const float* plane, const float* change, float mean, int lanes, double sums[2]);
void normalizeChange(const Map& map, const float* plane, const float* change, const AffineChange& affine, float floor,
                     const Map& outMap, float* out, float* outBase);
void addChange(const Map& aMap, const float* a, const float* aChange, const Map& bMap, const float* b,
               const float* bChange, float floor, const Map& outMap, float* out);
void clampChange(const Map& map, const float* plane, const float* change, float floor, const Map& outMap, float* out);
void maxPoolChange(const Map& map, const float* plane, const float* change, int kernel, int stride, const Map& outMap,
                   float* out);
double crossEntropyChange(const float* probabilities, const float* labels, int classes, const float* change,
                          const int* channels, int count, int lanes, float* largest);

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
