#include "measure/kernel_runs.hpp"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "support/aligned.hpp"

namespace deepzero {

namespace {

// Multiply-adds of one call of that kernel: a few microseconds.
constexpr double kMultiplyAdds = 1 << 20;

AlignedFloats filled(std::size_t count) {
  AlignedFloats floats(count);
  // Neither zero nor denormal, and of both signs, as a change is.
  for (std::size_t i = 0; i < count; ++i) floats.data()[i] = (static_cast<float>(i * 37 % 101) - 50) / 64;
  return floats;
}

// One thread's block and weights, and the kernel's call on them.
class Bench {
 public:
  Bench(const Kernels& kernels, const KernelRun& run) : kernels_(kernels), run_(run) {
    const bool convolves = run.kernel == KernelName::Convolution || run.kernel == KernelName::Winograd;
    if (convolves) {
      shape_ = run.convolution();
    } else {
      shape_.in = shape_.out = {run.channels, run.size, run.size, 0};
    }
    const Map in = shape_.in, out = shape_.out;
    if (run.kernel == KernelName::MultiplyAdds) return;
    in_ = filled(in.size());
    out_ = AlignedFloats(shape_.out.size());
    cost_.bytes =
        sizeof(float) * kLanes * (1.0 * in.channels * in.height * in.width + out.channels * out.height * out.width);
    if (convolves) {
      const bool winograd = run.kernel == KernelName::Winograd;
      weights_ = filled(winograd ? shape_.winogradSize() : shape_.packedSize());
      if (winograd) scratch_ = AlignedFloats(shape_.winogradScratch());
      cost_.work = winograd ? winogradWork(shape_) : directWork(shape_, in.channels);
      cost_.work.done *= kLanes;
      cost_.work.direct *= kLanes;
      return;
    }
    change_ = filled(in.size());
    affine_.resize(run.channels);
    affineChange_.resize(run.channels);
    activation_ = {in, in, shape_.out, Nonlinearity::Relu};
    for (int c = 0; c < run.channels; ++c) {
      const std::ptrdiff_t at = c * in.planeStride();
      const float *base = in_.data() + at, *change = change_.data() + at;
      planes_.push_back({base, change, nullptr, nullptr, &affineChange_[c], out_.data() + at});
      moments_.push_back({base, change, {}, {}});
    }
    // Two planes in; the moments put none out, the others one.
    cost_.bytes = sizeof(float) * in.size() * (run.kernel == KernelName::ChangeMoments ? 2.0 : 3.0);
  }

  KernelCost cost() const { return cost_; }

  void call() {
    switch (run_.kernel) {
      case KernelName::MultiplyAdds: cost_.work.done = cost_.work.direct = kernels_.multiplyAdds(kMultiplyAdds); break;
      case KernelName::Convolution:
        kernels_.convolution(shape_, in_.data(), weights_.data(), nullptr, out_.data());
        break;
      case KernelName::Winograd:
        kernels_.winograd(shape_, in_.data(), weights_.data(), {}, scratch_.data(), out_.data());
        break;
      case KernelName::Activate:
        kernels_.activate(activation_, affine_.data(), in_.data(), change_.data(), out_.data());
        break;
      case KernelName::ActivateChange: kernels_.activateChange(activation_, planes_.data(), run_.channels); break;
      case KernelName::ChangeMoments: kernels_.changeMoments(shape_.in, moments_.data(), run_.channels, kLanes); break;
    }
  }

 private:
  const Kernels& kernels_;
  const KernelRun& run_;
  ConvolutionShape shape_;
  Activation activation_;
  AlignedFloats in_, out_, change_, weights_, scratch_;
  std::vector<Affine> affine_;
  std::vector<AffineChange> affineChange_;
  std::vector<PlaneChange> planes_;
  std::vector<PlaneMoments> moments_;
  KernelCost cost_;
};

}  // namespace

KernelCost runKernel(const Kernels& kernels, const KernelRun& run, const Control& control) {
  std::vector<Bench> benches;
  benches.reserve(control.threads);
  for (int thread = 0; thread < control.threads; ++thread) benches.emplace_back(kernels, run);
  std::vector<double> seconds(control.threads);
#pragma omp parallel num_threads(control.threads)
  {
    // A team may be smaller than it was asked to be.
    const int first = omp_get_thread_num(), team = omp_get_num_threads();
    // The first call touches fresh memory.
    for (int i = first; i < control.threads; i += team) benches[i].call();
#pragma omp barrier
    for (int i = first; i < control.threads; i += team) {
      const auto start = std::chrono::steady_clock::now();
      for (int call = 0; call < run.calls && !control.stop(); ++call) benches[i].call();
      seconds[i] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
  }
  if (control.stop()) throw Cancelled();
  KernelCost cost = benches.front().cost();
  cost.seconds = *std::max_element(seconds.begin(), seconds.end());
  return cost;
}

}  // namespace deepzero
