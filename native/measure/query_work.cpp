#include "measure/query_work.hpp"

namespace deepzero {

Work directWork(const ConvolutionShape& shape, int channels) {
  const double taps = static_cast<double>(shape.kernelHeight) * shape.kernelWidth;
  const double products = taps * channels * shape.out.channels * shape.out.height * shape.out.width;
  return {products, products};
}

Work winogradWork(const ConvolutionShape& shape) {
  const Work direct = directWork(shape, shape.in.channels);
  // A tile's 16 outputs take 36 products instead of 16·9.
  return {direct.direct / 4, direct.direct};
}

namespace {

// Of a convolution of all channels by the kernel that takes it.
Work denseWork(const ConvolutionShape& shape) {
  return shape.suitsWinograd() ? winogradWork(shape) : directWork(shape, shape.in.channels);
}

}  // namespace

QueryWork::QueryWork(const Engine& engine)
    : engine_(engine),
      spread_(engine.graph(), engine.plan()),
      producer_(engine.graph().shapes().size(), nullptr),
      measured_(engine.graph().shapes().size(), false),
      from_(engine.plan().segments().size()) {
  const Plan& plan = engine.plan();
  for (const Step& step : plan.steps()) producer_[step.output] = &step;
  Work rest;
  for (int index = static_cast<int>(from_.size()) - 1; index >= 0; --index) {
    const Segment& segment = plan.segments()[index];
    for (const int value : segment.measured) measured_[value] = true;
    for (int s = segment.firstStep; s < segment.endStep; ++s) {
      const Step& step = plan.steps()[s];
      if (step.kind != StepKind::Convolve) continue;
      rest += denseWork(plan.convolutionShape(step.operation));
    }
    from_[index] = rest;
  }
}

Work QueryWork::of(std::size_t coordinate, Reuse reuse) {
  return reuse == Reuse::Incremental ? ofChange(coordinate) : from_[cutPoint(engine_, coordinate, reuse)];
}

Work QueryWork::ofChange(std::size_t coordinate) {
  const Plan& plan = engine_.plan();
  perturbation_ = perturbationOf(engine_.graph(), coordinate, 1);
  const int first = plan.segments()[plan.segmentOf(perturbation_.operation)].firstStep;
  spread_.compute(perturbation_, first);
  Work work;
  for (int s = first; s < static_cast<int>(plan.steps().size()); ++s) work += ofStep(plan.steps()[s]);
  return work;
}

// With the fleeting convolution that an activation reads, and what that reads in turn.
Work QueryWork::ofStep(const Step& step) const {
  if (spread_.channels(step.output).empty()) return {};
  if (step.kind == StepKind::Convolve) {
    const bool unmeasured = spread_.fleeting(step.output) && !measured_[step.output];
    return unmeasured ? Work() : ofConvolution(step);
  }
  const int value = step.inputs[0];
  if (step.kind != StepKind::Activate || !spread_.fleeting(value) || spread_.channels(value).empty()) return {};
  const Step& convolution = *producer_[value];
  Work work = ofConvolution(convolution);
  if (!engine_.plan().stored(convolution.inputs[0])) work += ofStep(*producer_[convolution.inputs[0]]);
  return work;
}

Work QueryWork::ofConvolution(const Step& step) const {
  const ConvolutionShape& shape = engine_.plan().convolutionShape(step.operation);
  if (perturbation_.touches(step)) {
    // A plane shifted and multiplied; a bias is only set, or multiplies by zero what is not stored.
    const bool multiplies = !perturbation_.isBias || spread_.fleeting(step.output);
    const double products = multiplies ? static_cast<double>(shape.out.height) * shape.out.width : 0;
    return {products, products};
  }
  const int changed = static_cast<int>(spread_.channels(step.inputs[0]).size());
  return changed == shape.in.channels ? denseWork(shape) : directWork(shape, changed);
}

QueryMemory queryMemory(const Engine& engine, int count) {
  const int blocks = (count + kLanes - 1) / kLanes;
  const Graph& graph = engine.graph();
  const Plan& plan = engine.plan();
  const Kernels& kernels = engine.kernels();
  const std::size_t weights = Weights(graph, plan).bytes();
  QueryMemory memory;
  memory.cache = Pass(graph, plan, kernels, plan.cache(), blocks).bytes();
  memory.values = Pass(graph, plan, kernels, plan.scratch(), blocks).bytes() + Workspace(plan).bytes() + weights;
  memory.changes = ChangePass(graph, plan, kernels, blocks).bytes() + weights;
  return memory;
}

}  // namespace deepzero
