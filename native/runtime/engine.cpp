#include "runtime/engine.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace deepzero {

Engine::Engine(Graph graph, const Kernels& kernels) : graph_(std::move(graph)), plan_(graph_), kernels_(kernels) {}

void Engine::release() {
  begun_.reset();
  unperturbed_.reset();
  base_.reset();
  changeBase_.reset();
  products_.reset();
  float64Pass_.reset();
  lossBase_.reset();
  transposed_.reset();
  backPropagation_.reset();
  float64BackPropagation_.reset();
  valueQueries_.clear();
  changeQueries_.clear();
  scratch_ = {};
  workspaces_.clear();
  float64Workspaces_.clear();
}

std::size_t Engine::footprint(QueryKind kind, int count, int threads) const {
  const MemoryCount counted;
  Engine engine(graph_, kernels_);
  engine.reserve(kind, count, threads);
  const std::size_t result = count * graph_.output().size() + graph_.statisticsCount();
  const bool gradient = kind == QueryKind::Gradient || kind == QueryKind::Float64Gradient;
  return counted.bytes() + result * sizeof(float) + (gradient ? graph_.parameterCount() * sizeof(double) : 0);
}

// Allocates the buffers of a computation, and nothing else does. Buffers of earlier computations stay.
void Engine::reserve(QueryKind kind, int count, int threads) {
  begun_.reset();
  const int blocks = (count - 1) / kLanes + 1;
  if (blocks != blocks_) release();
  blocks_ = blocks;
  if (unperturbed_ == nullptr) unperturbed_ = std::make_unique<Weights>(graph_, plan_);
  const bool inDouble =
      kind == QueryKind::Changes || kind == QueryKind::AllChange || kind == QueryKind::Float64Gradient;
  if (inDouble) unperturbed_->widen();
  if (kind == QueryKind::None || kind == QueryKind::Values) {
    if (base_ == nullptr && kind == QueryKind::Values) {
      base_ = std::make_unique<Pass>(graph_, plan_, kernels_, Arena(plan_.cache(), blocks), blocks);
    }
    while (static_cast<int>(workspaces_.size()) < threads) workspaces_.emplace_back(plan_);
    reserveValueQueries(kind == QueryKind::None ? 1 : threads);
  } else if (kind == QueryKind::Gradient) {
    reserveGradient(backPropagation_, workspaces_, threads);
  } else if (kind == QueryKind::Float64Gradient) {
    reserveGradient(float64BackPropagation_, float64Workspaces_, threads);
    transposed_->widen();
  } else {
    if (changeBase_ == nullptr) changeBase_ = std::make_unique<ChangeBase>(graph_, plan_, blocks);
    reserveScratch(threads);
    reserveChangeQueries(threads, kind == QueryKind::AllChange);
  }
}

// Invalidates the values and changes of earlier computations.
void Engine::reserveScratch(int threads) {
  const std::size_t needed = checkedTimes(checkedTimes(plan_.scratch().size(), blocks_), (threads + 1) / 2);
  if (scratch_.size() < needed) {
    float64Pass_.reset();
    changeQueries_.clear();
    scratch_ = {};
    scratch_ = Aligned<double>(needed);
  }
  if (float64Pass_ == nullptr) {
    ArenaOf<double> values(plan_.scratch(), blocks_, scratch_.data());
    float64Pass_ = std::make_unique<Float64Pass>(graph_, plan_, kernels_, std::move(values), blocks_);
  }
  while (static_cast<int>(float64Workspaces_.size()) < threads) float64Workspaces_.emplace_back(plan_);
}

template <typename Scalar>
void Engine::reserveGradient(std::unique_ptr<BackPropagation<Scalar>>& made,
                             std::vector<WorkspaceOf<Scalar>>& workspaces, int threads) {
  if (transposed_ == nullptr) transposed_ = std::make_unique<Weights>(graph_, plan_, true);
  if (made == nullptr) {
    PassOf<Scalar> pass(graph_, plan_, kernels_, ArenaOf<Scalar>(plan_.cache(), blocks_), blocks_);
    made = std::make_unique<BackPropagation<Scalar>>(
        BackPropagation<Scalar>{std::move(pass), BackwardPassOf<Scalar>(graph_, plan_, kernels_, blocks_)});
  }
  made->backward.reserve(threads);
  while (static_cast<int>(workspaces.size()) < threads) workspaces.emplace_back(plan_);
}

void Engine::reserveValueQueries(int count) {
  while (static_cast<int>(valueQueries_.size()) < count) {
    valueQueries_.push_back(std::make_unique<ValueQuery>(
        ValueQuery{Weights(graph_, plan_), Pass(graph_, plan_, kernels_, Arena(plan_.scratch(), blocks_), blocks_)}));
  }
}

void Engine::reserveChangeQueries(int count, bool allChange) {
  if (lossBase_ == nullptr) lossBase_ = std::make_unique<LossChange>(plan_.map(plan_.outputValue()), blocks_);
  for (std::size_t i = changeQueries_.size(); i < static_cast<std::size_t>(count); ++i) {
    float* memory = nullptr;
    if (scratch_.data() != nullptr) {
      memory = reinterpret_cast<float*>(scratch_.data()) + i * plan_.scratch().size() * blocks_;
    }
    changeQueries_.push_back(
        std::make_unique<ChangeQuery>(ChangeQuery{nullptr, ChangePass(graph_, plan_, kernels_, blocks_, memory)}));
  }
  if (!allChange) return;
  if (products_ == nullptr) products_ = std::make_unique<InputProducts>(plan_, kernels_, blocks_);
  products_->reserve(count);
  for (int thread = 0; thread < count; ++thread) {
    ChangeQuery& query = *changeQueries_[thread];
    if (query.steps == nullptr) query.steps = std::make_unique<Weights>(graph_, plan_);
    query.pass.reserveAllChange();
  }
}

namespace {

template <typename Scalar>
Evaluation resultOf(double loss, const PassOf<Scalar>& pass, const Problem& problem) {
  if (!std::isfinite(loss)) throw NonFinite(-1);
  Evaluation evaluation;
  evaluation.loss = loss;
  evaluation.outputs = pass.outputs(problem);
  evaluation.statistics = pass.runningStatistics(problem);
  return evaluation;
}

}  // namespace

Evaluation Engine::evaluate(const Problem& problem, const Control& control) {
  reserve(QueryKind::None, problem.count, control.threads);
  unperturbed_->assign(problem.parameters);
  Pass& pass = valueQueries_[0]->pass;
  return resultOf(pass.run(problem, *unperturbed_, workspaces_, control), pass, problem);
}

Gradient Engine::gradient(const Problem& problem, const Control& control, Precision precision) {
  reserve(kindOf(precision), problem.count, control.threads);
  unperturbed_->assign(problem.parameters);
  transposed_->assign(problem.parameters);
  if (precision == Precision::Single) return gradient(*backPropagation_, workspaces_, problem, control);
  return gradient(*float64BackPropagation_, float64Workspaces_, problem, control);
}

template <typename Scalar>
Gradient Engine::gradient(BackPropagation<Scalar>& passes, std::vector<WorkspaceOf<Scalar>>& workspaces,
                          const Problem& problem, const Control& control) {
  const double loss = passes.pass.run(problem, *unperturbed_, workspaces, control);
  Gradient result{resultOf(loss, passes.pass, problem), {}};
  result.values = passes.backward.run(problem, passes.pass, *transposed_, workspaces, control);
  return result;
}

Evaluation Engine::begin(const Problem& problem, const Control& control, QueryKind kind, std::size_t queries) {
  reserve(kind, problem.count, control.threads);
  unperturbed_->assign(problem.parameters);
  if (kind == QueryKind::Values) return beginValues(problem, control);
  Evaluation result = beginChanges(problem, control);
  InputProducts* const products = kind == QueryKind::AllChange ? products_.get() : nullptr;
  if (products != nullptr) products->compute(problem, *changeBase_, queries, control);
  for (auto& query : changeQueries_) query->pass.startsFrom(*changeBase_, *lossBase_, *unperturbed_, products);
  return result;
}

std::optional<Evaluation> Engine::beginOnce(std::uint64_t mark, const Problem& problem, const Control& control,
                                            QueryKind kind, std::size_t queries) {
  const Begun wanted{mark, kind, problem.count, control.threads};
  if (begun_ && *begun_ == wanted) return {};
  Evaluation result = begin(problem, control, kind, queries);
  begun_ = wanted;
  return result;
}

void Engine::forget() { begun_.reset(); }

Evaluation Engine::beginValues(const Problem& problem, const Control& control) {
  const double loss = base_->run(problem, *unperturbed_, workspaces_, control);
  for (auto& query : valueQueries_) {
    query->weights.assign(problem.parameters);
    query->pass.restartsFrom(*base_);
  }
  return resultOf(loss, *base_, problem);
}

Evaluation Engine::beginChanges(const Problem& problem, const Control& control) {
  float64Pass_->clearBorders();
  const double loss = float64Pass_->run(problem, *unperturbed_, float64Workspaces_, control, changeBase_.get());
  lossBase_->prepare(problem, *float64Pass_);
  return resultOf(loss, *float64Pass_, problem);
}

double Engine::lossFrom(int thread, int from, const Problem& problem, const Control& control) {
  ValueQuery& query = *valueQueries_[thread];
  return query.pass.restart(from, problem, query.weights, workspaces_[thread], control);
}

double Engine::lossChange(int thread, std::size_t coordinate, float step, const Problem& problem,
                          const Control& control) {
  return changeQueries_[thread]->pass.run(problem, coordinate, step, control);
}

double Engine::lossChange(int thread, const float* steps, const Problem& problem, const Control& control) {
  ChangeQuery& query = *changeQueries_[thread];
  query.steps->assign(steps);
  return query.pass.run(problem, *query.steps, control);
}

void Engine::baseOutputs(QueryKind kind, const Problem& problem, double* rows) const {
  if (kind == QueryKind::Values) return base_->outputs(problem, rows);
  lossBase_->outputs(problem, rows);
}

void Engine::outputs(QueryKind kind, int thread, const Problem& problem, double* rows) const {
  if (kind == QueryKind::Values) return valueQueries_[thread]->pass.outputs(problem, rows);
  changeQueries_[thread]->pass.outputs(problem, rows);
}

}  // namespace deepzero
