// Runs of single kernels: what they report.
#include "measure/kernel_runs.hpp"

#include <atomic>

#include "harness.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

ISA_TEST("kernel runs: every kernel, whole shapes and ragged ones, on one thread and on two") {
  for (const int count : {1, 2}) {
    for (const int channels : {1, 5, 16}) {
      for (const int size : {4, 8, 13}) {
        KernelRun run{KernelName::Convolution, channels, 7, size, 1, 2};
        const KernelCost direct = runKernel(kernels(), run, threads(count));
        CHECK(direct.work.done == 16.0 * channels * 7 * 9 * size * size);
        CHECK(direct.seconds > 0);
        CHECK(direct.bytes == 64.0 * (channels + 7) * size * size);
        if (size % 4 == 0) {
          run.kernel = KernelName::Winograd;
          const KernelCost winograd = runKernel(kernels(), run, threads(count));
          CHECK(winograd.work.direct == direct.work.done);
          CHECK(winograd.work.done == direct.work.done / 4);
        }
        for (const KernelName name : {KernelName::Activate, KernelName::ActivateChange, KernelName::ChangeMoments}) {
          run.kernel = name;
          const double planes = name == KernelName::ChangeMoments ? 2 : 3;
          CHECK(runKernel(kernels(), run, threads(count)).bytes == planes * 64 * channels * size * size);
        }
      }
    }
  }
}

ISA_TEST("kernel runs: a strided convolution's output rounds up") {
  const KernelRun run{KernelName::Convolution, 2, 3, 5, 2, 1};
  CHECK(runKernel(kernels(), run, threads(1)).work.done == 16.0 * 2 * 3 * 9 * 3 * 3);
}

ISA_TEST("kernel runs: at least as many multiply-adds as asked for") {
  const double count = runKernel(kernels(), {}, threads(2)).work.done;
  CHECK(count >= 1 << 20);
  CHECK(count <= (1 << 20) + 12 * 16);
}

TEST("kernel runs: stopped") {
  std::atomic<bool> cancelled{true};
  Control control = threads(2);
  control.cancelled = &cancelled;
  CHECK_THROWS(Cancelled, runKernel(kernels(), {}, control));
}

}  // namespace
}  // namespace deepzero::test
