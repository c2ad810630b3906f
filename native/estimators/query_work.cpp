#include "estimators/query_work.hpp"

namespace deepzero {

namespace {

double pixels(const Map& map) { return static_cast<double>(map.height) * map.width; }

// A kernel other than a convolution that reads `channels` planes.
Work elementWork(const Map& map, std::size_t channels) { return {0, 0, pixels(map) * static_cast<double>(channels)}; }

// A convolution of all channels, by the kernel that the plan chooses.
Work denseWork(const ConvolutionShape& shape) {
  return shape.supportsWinograd() ? winogradWork(shape) : directWork(shape, shape.in.channels);
}

// Flattening only copies.
bool computes(const Step& step) { return step.kind != StepKind::Flatten; }

}  // namespace

Work directWork(const ConvolutionShape& shape, int channels) {
  const double taps = static_cast<double>(shape.kernelHeight) * shape.kernelWidth;
  const double products = taps * channels * shape.out.channels * shape.out.height * shape.out.width;
  return {products, products, 0};
}

Work winogradWork(const ConvolutionShape& shape) {
  const Work direct = directWork(shape, shape.in.channels);
  // A tile's 16 outputs take 36 products instead of 16·9.
  return {direct.direct / 4, direct.direct, 0};
}

QueryWork::QueryWork(const Engine& engine)
    : engine_(engine),
      changed_(engine.graph(), engine.plan()),
      measured_(engine.graph().shapes().size(), false),
      from_(engine.plan().segments().size()) {
  const Plan& plan = engine.plan();
  Work rest;
  for (int index = static_cast<int>(from_.size()) - 1; index >= 0; --index) {
    const Segment& segment = plan.segments()[index];
    for (const int value : segment.measured) measured_[value] = true;
    for (int s = segment.firstStep; s < segment.endStep; ++s) {
      const Step& step = plan.steps()[s];
      const Map& in = plan.map(step.inputs[0]);
      if (step.kind == StepKind::Convolve) {
        rest += denseWork(plan.convolutionShape(step.operation));
      } else if (computes(step)) {
        rest += elementWork(in, in.channels);
      }
    }
    for (const int value : segment.measured) rest += elementWork(plan.map(value), plan.map(value).channels);
    from_[index] = rest;
  }
}

Work QueryWork::of(std::size_t coordinate, Reuse reuse) {
  return reuse == Reuse::Incremental ? ofChange(coordinate) : from_[cutPoint(engine_, coordinate, reuse)];
}

Work QueryWork::ofChange(std::size_t coordinate) {
  const Plan& plan = engine_.plan();
  perturbation_ = perturbationOf(engine_.graph(), coordinate, 1);
  const int from = plan.segmentOf(perturbation_.operation);
  changed_.compute(perturbation_, plan.segments()[from].firstStep);
  Work work;
  for (int index = from; index < static_cast<int>(plan.segments().size()); ++index) {
    const Segment& segment = plan.segments()[index];
    for (int s = segment.firstStep; s < segment.endStep; ++s) work += ofStep(plan.steps()[s]);
    for (const int value : segment.measured) work += elementWork(plan.map(value), changed_.channels(value).size());
  }
  return work;
}

// An activation may recompute the convolution whose output it reads, and the activation that the convolution reads.
Work QueryWork::ofStep(const Step& step) const {
  if (changed_.channels(step.output).empty() || !computes(step)) return {};
  if (step.kind == StepKind::Convolve) {
    const bool unmeasured = changed_.rematerialised(step.output) && !measured_[step.output];
    return unmeasured ? Work() : ofConvolution(step);
  }
  const int value = step.inputs[0];
  const bool activates = step.kind == StepKind::Activate;
  const auto& planes = changed_.channels(activates ? step.output : value);
  Work work = elementWork(engine_.plan().map(value), planes.size());
  if (!activates || !changed_.rematerialised(value) || changed_.channels(value).empty()) return work;
  const Step& convolution = *engine_.plan().producerOf(value);
  work += ofConvolution(convolution);
  if (!engine_.plan().stored(convolution.inputs[0])) work += ofStep(*engine_.plan().producerOf(convolution.inputs[0]));
  return work;
}

Work QueryWork::ofConvolution(const Step& step) const {
  const ConvolutionShape& shape = engine_.plan().convolutionShape(step.operation);
  if (perturbation_.touches(step)) {
    // One plane, shifted and multiplied. A bias is only set, except that a rematerialised convolution multiplies by
    // zero.
    const bool multiplies = !perturbation_.isBias || changed_.rematerialised(step.output);
    const double products = multiplies ? pixels(shape.out) : 0;
    return {products, products, 0};
  }
  const int changed = static_cast<int>(changed_.channels(step.inputs[0]).size());
  return changed == shape.in.channels && !changed_.rematerialised(step.output) ? denseWork(shape)
                                                                               : directWork(shape, changed);
}

std::vector<double> tensorCosts(const Engine& engine, Reuse reuse) {
  QueryWork work(engine);
  std::vector<double> costs;
  for (const Parameter& tensor : engine.graph().parameters()) costs.push_back(work.of(tensor.offset, reuse).cost());
  return costs;
}

}  // namespace deepzero
