// Every kernel against a naive double-precision loop. A check runs one kernel of a table at one size and returns a
// description of what is wrong, or an empty string.
//
// Tolerances are worst-case bounds: a float sum of n terms is within n·2⁻²⁴·Σ|terms| of the exact one, in any order
// of addition and with or without fused multiply-adds.
#pragma once

#include <string>

#include "kernels/kernels.hpp"

namespace deepzero::test {

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
  bool bias = true;
  bool specials = false;  // NaN and infinities among the inputs
  bool fits() const { return height + 2 * padding >= kernelHeight && width + 2 * padding >= kernelWidth; }
  ConvolutionShape shape() const;
};

std::string checkConvolution(const Kernels& table, const ConvolutionCase& given);

// `inMap` and `outMap` differ in their borders only.
struct PixelCase {
  Map inMap, outMap;
  bool specials = false;
};

// The first `lanes` images count; the others hold NaN. `offset` is added to every pixel.
std::string checkMoments(const Kernels& table, const Map& map, int lanes, float offset);
std::string checkNormalize(const Kernels& table, const PixelCase& given, float floor);
std::string checkClamp(const Kernels& table, const PixelCase& given, float floor);
std::string checkAdd(const Kernels& table, const PixelCase& given, float floor);
std::string checkSubsample(const Kernels& table, const Map& inMap, int stride, int outChannels, int outBorder);
std::string checkMaxPool(const Kernels& table, const Map& inMap, int kernel, int stride, int outBorder, bool specials);
std::string checkAveragePool(const Kernels& table, const Map& inMap, int outBorder);

}  // namespace deepzero::test
