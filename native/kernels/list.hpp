// Every kernel, listed once: its result, name and parameters. An including file defines VALUE_KERNEL for kernels of
// float and double activations, with `Scalar` for either, and KERNEL for the others; one that it leaves undefined
// expands to nothing.

#ifndef VALUE_KERNEL
#define VALUE_KERNEL(result, name, parameters)
#endif
#ifndef KERNEL
#define KERNEL(result, name, parameters)
#endif

// The forward pass and back-propagation. Biases are float for both types of activations.

// out = weights ∗ in + bias. A linear layer is the case of 1×1 maps and a 1×1 kernel. `bias` may be null.
VALUE_KERNEL(void, convolution,
             (const ConvolutionShape& shape, const Scalar* in, const Scalar* packedWeights, const float* bias,
              Scalar* out))

// Per channel, over the pixels of the first `lanes` images: the mean, and the sum of squared deviations from it.
VALUE_KERNEL(void, moments, (const Map& map, const Scalar* in, int lanes, double* mean, double* squares))

// A NaN in an input reaches the output. `residual` may be null.
VALUE_KERNEL(void, activate,
             (const Activation& shape, const AffineOf<Scalar>* affine, const Scalar* in, const Scalar* residual,
              Scalar* out))

// The mean of every window of one plane, for a shape without padding.
VALUE_KERNEL(void, averagePool, (const ConvolutionShape& shape, const Scalar* plane, Scalar* out))

// gradient[flat OIHW index] = Σ over the output's pixels of the first `lanes` images of the output's gradient times the
// input that the weight multiplies there.
VALUE_KERNEL(void, weightGradient,
             (const ConvolutionShape& shape, const Scalar* in, const Scalar* outGradient, int lanes, double* gradient))

// For one plane, the gradient of (in − mean)·scale + shift + residual, before nonlinearity and pool: each window's
// output gradient goes to the first maximum of the window, times the nonlinearity's derivative there. At a kink that is
// the derivative below zero. Neither gradient has a border.
VALUE_KERNEL(void, activateGradient,
             (const Activation& shape, const AffineOf<Scalar>& affine, const Scalar* in, const Scalar* residual,
              const Scalar* outGradient, Scalar* gradient))

// Other convolutions of float values.

// The convolution by Winograd's F(4×4, 3×3), for shapes that support it. `scratch` holds winogradScratch() floats.
KERNEL(void, winograd,
       (const ConvolutionShape& shape, const float* in, const float* transformedWeights, const Epilogue& epilogue,
        float* scratch, float* out))

// out += weights ∗ in + bias.
KERNEL(void, addConvolution,
       (const ConvolutionShape& shape, const float* in, const float* packedWeights, const float* bias, float* out))

// The kernels below carry a change, perturbed − base, through the network without ever subtracting two values of
// nearly equal size.

// The convolution, without bias, of the `count` input channels `channels` (increasing). The others are zero and not
// read.
KERNEL(void, partialConvolution,
       (const ConvolutionShape& shape, const float* in, const int* channels, int count, const float* packedWeights,
        float* out))

// A partial convolution, with bias, fused with what reads its output, for outputs that are cheaper to compute again
// than to store. convolveMoments takes one input channel and adds to the moments of the output channels;
// convolveActivate computes the changes of an activation, one plane for each output channel. The planes' `change` is
// not read. `scratch` holds from.scratch(shape.poolKernel) floats.
KERNEL(void, convolveMoments, (const PartialConvolution& from, PlaneMoments* planes, int lanes))
KERNEL(void, convolveActivate,
       (const PartialConvolution& from, const Activation& shape, float* scratch, const PlaneChange* planes))

// Adds to the moments of `count` planes over the first `lanes` images.
KERNEL(void, changeMoments, (const Map& map, PlaneMoments* planes, int count, int lanes))

// The changes of `count` planes of an activation.
KERNEL(void, activateChange, (const Activation& shape, const PlaneChange* planes, int count))

// Σ over the first `lanes` images of the change of the cross-entropy, log1p(Σⱼ pⱼ·expm1(Δⱼ − Δ_label)), when the
// `count` outputs `channels` (increasing) change; the other changes are not read. `probabilities`, `labels` (1 or 0)
// and `change` are [class][lane]. `largest` receives the largest |Δ|: beyond 0.5 the sum is not accurate.
KERNEL(double, crossEntropyChange,
       (const float* probabilities, const float* labels, int classes, const float* change, const int* channels,
        int count, int lanes, float* largest))

// At least `count` multiply-adds on registers alone; returns their number. The speed of all other kernels is compared
// with this one's.
KERNEL(double, multiplyAdds, (double count))

#undef VALUE_KERNEL
#undef KERNEL
