#include "kernels/table.hpp"

#define DEEPZERO_STRING_OF(name) #name
#define DEEPZERO_STRING(name) DEEPZERO_STRING_OF(name)

namespace deepzero {
namespace DEEPZERO_ISA {

extern const Kernels kKernels;
const Kernels kKernels = {DEEPZERO_STRING(DEEPZERO_ISA),
                          convolution,
                          addConvolution,
                          moments,
                          activate,
                          subsample,
                          averagePool,
                          partialConvolution,
                          winograd,
                          weightChange,
                          changeMoments,
                          activateChange,
                          crossEntropyChange,
                          multiplyAdds};

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
