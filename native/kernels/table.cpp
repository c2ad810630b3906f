// The table of one instruction set. Its entries and the members of Kernels come from the same list, in the same order.
#include "kernels/table.hpp"

#define DEEPZERO_STRING_OF(name) #name
#define DEEPZERO_STRING(name) DEEPZERO_STRING_OF(name)

namespace deepzero {
namespace DEEPZERO_ISA {

template <typename Scalar>
static constexpr ValueKernels<Scalar> kValueKernels = {
#define VALUE_KERNEL(result, name, parameters) name<Scalar>,
#include "kernels/list.hpp"
};

extern const Kernels kKernels;
constexpr Kernels kKernels = {
    kValueKernels<float>,
    DEEPZERO_STRING(DEEPZERO_ISA),
    kValueKernels<double>,
#define KERNEL(result, name, parameters) name,
#include "kernels/list.hpp"
};

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
