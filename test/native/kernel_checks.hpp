// Every kernel against a naive double-precision loop. A check runs one kernel of a table at one size and returns a
// description of what is wrong, or an empty string.
//
// Tolerances are worst-case bounds: a float sum of n terms is within n·2⁻²⁴·Σ|terms| of the exact one, in any order
// of addition and with or without fused multiply-adds. For changes the terms are the changes, never the values.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.hpp"

namespace deepzero::test {

// The largest relative error of rounding to float.
inline constexpr double kRounding = 0x1p-24;

struct ConvolutionCase {
  int inChannels = 3;
  int outChannels = 5;
  int height = 5;
  int width = 5;
  int kernelHeight = 3;
  int kernelWidth = 3;
  int stride = 1;
  int padding = 1;
  int extraBorder = 0;  // of the input, beyond the padding
  int outBorder = 0;
  bool bias = true;       // but for partial convolutions
  bool specials = false;  // NaN and infinities among the inputs, not for Winograd
  bool fits() const { return height + 2 * padding >= kernelHeight && width + 2 * padding >= kernelWidth; }
  ConvolutionShape shape() const;
};

std::string checkConvolution(const Kernels& table, const ConvolutionCase& given);
// What `out` holds before is random; its border and what lies around it is not to be touched.
std::string checkAddConvolution(const Kernels& table, const ConvolutionCase& given);
std::string checkPartialConvolution(const Kernels& table, const ConvolutionCase& given,
                                    const std::vector<int>& channels);
// Without adding and then with it, to an output of random numbers; with moments where the output has no border.
std::string checkWinograd(const Kernels& table, const ConvolutionCase& given);

inline constexpr Nonlinearity kNonlinearities[] = {Nonlinearity::None, Nonlinearity::Relu, Nonlinearity::LeakyRelu,
                                                   Nonlinearity::Tanh};

struct ActivationCase {
  int channels = 5;
  int height = 5;
  int width = 6;
  int inBorder = 1;
  int residualBorder = 0;
  int outBorder = 2;
  int poolKernel = 1;
  int poolStride = 1;
  Nonlinearity nonlinearity = Nonlinearity::Relu;  // a leaky ReLU of slope ¼
  bool affine = true;                              // else the identity
  bool residual = false;
  bool specials = false;  // NaN and infinities among the inputs, NaN among the changes
  bool fits() const { return height >= poolKernel && width >= poolKernel; }
  Activation shape() const;
};

std::string checkActivate(const Kernels& table, const ActivationCase& given);
// tanh to a few units in the last place, in float and double: of numbers from next to zero to beyond saturation.
std::string checkTanh(const Kernels& table);
// `size` bounds the changes of the inputs and of the affine maps. Of every four planes, one has no change of its input,
// one none of its residual and one neither.
std::string checkActivateChange(const Kernels& table, const ActivationCase& given, float size);
// Changes of tanh, each accurate relative to itself: from everywhere to everywhere.
std::string checkTanhChange(const Kernels& table);

// convolveActivate of some input channels, and convolveMoments of a single one; of `then` only pool, nonlinearity and
// output border count.
std::string checkConvolveActivate(const Kernels& table, const ConvolutionCase& given, const std::vector<int>& channels,
                                  const ActivationCase& then, int lanes);

// The first `lanes` images count; the others hold NaN. `offset` is added to every pixel.
std::string checkMoments(const Kernels& table, const Map& map, int lanes, float offset);
// Over two image blocks, after each other.
std::string checkChangeMoments(const Kernels& table, const Map& map, int lanes, float offset, float size);

// Windows without padding, of one plane of as many channels as there are inputs.
std::string checkAveragePool(const Kernels& table, const ConvolutionCase& given);

// Changes up to `size` of the outputs `channels`; beyond 0.5 only the reported largest change counts.
std::string checkCrossEntropyChange(const Kernels& table, int classes, const std::vector<int>& channels, int lanes,
                                    float size);

}  // namespace deepzero::test
