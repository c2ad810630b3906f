// The kernels of one instruction set, as its table lists them. Contracts: kernels.hpp.
#pragma once

#include "kernels/kernels.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

void convolution(const ConvolutionShape& shape, const float* in, const float* packedWeights, const float* bias,
                 float* out);
void addConvolution(const ConvolutionShape& shape, const float* in, const float* packedWeights, const float* bias,
                    float* out);
void moments(const Map& map, const float* in, int lanes, double* mean, double* squares);
void activate(const Activation& shape, const Affine* affine, const float* in, const float* residual, float* out);
void subsample(const Map& map, const float* plane, int stride, const Map& outMap, float* out);
void averagePool(const Map& map, const float* plane, const Map& outMap, float* out);
void partialConvolution(const ConvolutionShape& shape, const float* in, const int* channels, int count,
                        const float* packedWeights, float* out);
void winograd(const ConvolutionShape& shape, const float* in, const float* transformedWeights, float* scratch,
              float* out);
void weightChange(const ConvolutionShape& shape, const float* plane, int row, int column, float step, float* out);
void changeMoments(const Map& map, PlaneMoments* planes, int count, int lanes);
void activateChange(const Activation& shape, const PlaneChange* planes, int count);
double crossEntropyChange(const float* probabilities, const float* labels, int classes, const float* change,
                          const int* channels, int count, int lanes, float* largest);
double multiplyAdds(double count);

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
