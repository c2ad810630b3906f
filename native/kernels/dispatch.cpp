// Chooses among the kernel tables of this build those that the processor and the operating system can run.
#include <cstring>

#include "kernels/kernels.hpp"

namespace deepzero {

#if defined(__x86_64__)
namespace avx512 {
extern const Kernels kKernels;
}
namespace avx2 {
extern const Kernels kKernels;
}
#endif
namespace portable {
extern const Kernels kKernels;
}

namespace {

struct Supported {
  const Kernels* tables[3];
  const char* names[3];
  int count = 0;

  void add(const Kernels& table) {
    tables[count] = &table;
    names[count++] = table.isa;
  }

  Supported() {
#if defined(__x86_64__)
    // __builtin_cpu_supports asks the operating system too (XGETBV), not only the processor.
    __builtin_cpu_init();
    const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      add(avx512::kKernels);
    }
    if (fma) add(avx2::kKernels);
#endif
    add(portable::kKernels);
  }
};

const Supported& supported() {
  static const Supported instance;
  return instance;
}

}  // namespace

int supportedIsas(const char* const** names) {
  *names = supported().names;
  return supported().count;
}

const Kernels* findKernels(const char* isa) {
  for (int i = 0; i < supported().count; ++i) {
    if (std::strcmp(supported().names[i], isa) == 0) return supported().tables[i];
  }
  return nullptr;
}

}  // namespace deepzero
