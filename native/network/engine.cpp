#include "network/engine.hpp"

#include <cmath>
#include <utility>

namespace deepzero {

Engine::Engine(Graph graph, const Kernels& kernels)
    : graph_(std::move(graph)), plan_(graph_), kernels_(kernels), unperturbed_(graph_, plan_) {}

void Engine::release() {
  base_.reset();
  changeBase_.reset();
  lossBase_.reset();
  valueQueries_.clear();
  changeQueries_.clear();
  workspaces_.clear();
}

void Engine::reserve(const Problem& problem, int threads) {
  const int blocks = (problem.count + kLanes - 1) / kLanes;
  if (blocks != blocks_) release();
  blocks_ = blocks;
  while (static_cast<int>(workspaces_.size()) < threads) workspaces_.emplace_back(plan_);
}

void Engine::reserveValueQueries(int count) {
  while (static_cast<int>(valueQueries_.size()) < count) {
    valueQueries_.push_back(std::make_unique<ValueQuery>(
        ValueQuery{Weights(graph_, plan_), Pass(graph_, plan_, kernels_, plan_.scratch(), blocks_)}));
  }
}

void Engine::reserveChangeQueries(int count) {
  if (lossBase_ == nullptr) lossBase_ = std::make_unique<LossChange>(plan_.map(plan_.outputValue()), blocks_);
  while (static_cast<int>(changeQueries_.size()) < count) {
    changeQueries_.push_back(std::make_unique<ChangeQuery>(
        ChangeQuery{Weights(graph_, plan_), ChangePass(graph_, plan_, kernels_, blocks_)}));
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
  reserve(problem, control.threads);
  reserveValueQueries(1);
  unperturbed_.assign(problem.parameters);
  Pass& pass = valueQueries_[0]->pass;
  return resultOf(pass.run(problem, unperturbed_, workspaces_, control), pass, problem);
}

Evaluation Engine::begin(const Problem& problem, const Control& control, QueryKind kind) {
  reserve(problem, control.threads);
  unperturbed_.assign(problem.parameters);
  return kind == QueryKind::Values ? beginValues(problem, control) : beginChanges(problem, control);
}

Evaluation Engine::beginValues(const Problem& problem, const Control& control) {
  if (base_ == nullptr) base_ = std::make_unique<Pass>(graph_, plan_, kernels_, plan_.cache(), blocks_);
  const double loss = base_->run(problem, unperturbed_, workspaces_, control);
  reserveValueQueries(control.threads);
  for (auto& query : valueQueries_) {
    query->weights.assign(problem.parameters);
    query->pass.restartsFrom(*base_);
  }
  return resultOf(loss, *base_, problem);
}

Evaluation Engine::beginChanges(const Problem& problem, const Control& control) {
  if (changeBase_ == nullptr) changeBase_ = std::make_unique<ChangeBase>(graph_, plan_, blocks_);
  ExactPass exact(graph_, plan_, kernels_, plan_.scratch(), blocks_);
  std::vector<WorkspaceOf<double>> workspaces;
  for (int thread = 0; thread < control.threads; ++thread) workspaces.emplace_back(plan_);
  const double loss = exact.run(problem, unperturbed_, workspaces, control, changeBase_.get());
  reserveChangeQueries(control.threads);
  lossBase_->prepare(problem, exact);
  for (auto& query : changeQueries_) query->pass.startsFrom(*changeBase_, *lossBase_, unperturbed_);
  return resultOf(loss, exact, problem);
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
  query.steps.assign(steps);
  return query.pass.run(problem, query.steps, control);
}

}  // namespace deepzero
