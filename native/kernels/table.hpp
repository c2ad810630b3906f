// The kernels of one instruction set, as its table lists them. Contracts: kernels.hpp.
#pragma once

#include "kernels/kernels.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

template <typename Scalar>
void convolution(const ConvolutionShape& shape, const Scalar* in, const float* packedWeights, const float* bias,
                 Scalar* out);
template <typename Scalar>
void moments(const Map& map, const Scalar* in, int lanes, double* mean, double* squares);
template <typename Scalar>
void activate(const Activation& shape, const AffineOf<Scalar>* affine, const Scalar* in, const Scalar* residual,
              Scalar* out);
template <typename Scalar>
void averagePool(const ConvolutionShape& shape, const Scalar* plane, Scalar* out);
template <typename Scalar>
void weightGradient(const ConvolutionShape& shape, const Scalar* in, const Scalar* outGradient, int lanes,
                    double* gradient);
template <typename Scalar>
void activateGradient(const Activation& shape, const AffineOf<Scalar>& affine, const Scalar* in, const Scalar* residual,
                      const Scalar* outGradient, Scalar* gradient);
void winograd(const ConvolutionShape& shape, const float* in, const float* transformedWeights, const Epilogue& epilogue,
              float* scratch, float* out);
void addConvolution(const ConvolutionShape& shape, const float* in, const float* packedWeights, const float* bias,
                    float* out);
void partialConvolution(const ConvolutionShape& shape, const float* in, const int* channels, int count,
                        const float* packedWeights, float* out);
void convolveMoments(const PartialConvolution& from, PlaneMoments* planes, int lanes);
void convolveActivate(const PartialConvolution& from, const Activation& shape, float* scratch,
                      const PlaneChange* planes);
void changeMoments(const Map& map, PlaneMoments* planes, int count, int lanes);
void activateChange(const Activation& shape, const PlaneChange* planes, int count);
double crossEntropyChange(const float* probabilities, const float* labels, int classes, const float* change,
                          const int* channels, int count, int lanes, float* largest);
double multiplyAdds(double count);

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
