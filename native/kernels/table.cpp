#include "kernels/table.hpp"

#define DEEPZERO_STRING_OF(name) #name
#define DEEPZERO_STRING(name) DEEPZERO_STRING_OF(name)

namespace deepzero {
namespace DEEPZERO_ISA {

extern const Kernels kKernels;
template <typename Scalar>
static constexpr ValueKernels<Scalar> kValueKernels = {convolution<Scalar>,    moments<Scalar>,
                                                       activate<Scalar>,       averagePool<Scalar>,
                                                       weightGradient<Scalar>, activateGradient<Scalar>};

const Kernels kKernels = {kValueKernels<float>,  DEEPZERO_STRING(DEEPZERO_ISA),
                          kValueKernels<double>, winograd,
                          addConvolution,        partialConvolution,
                          convolveMoments,       convolveActivate,
                          changeMoments,         activateChange,
                          crossEntropyChange,    multiplyAdds};

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
