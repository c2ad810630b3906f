#include "wake.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace wake {

namespace {

Lanes spread(double value) { return Lanes{} + value; }

// Extents of a staggered field.
struct Extents {
  int rows, columns;
  std::size_t at(int i, int j) const { return static_cast<std::size_t>(i) * columns + j; }
};

// field(i, j) at a point between its grid points, each lane at its own; outside of the grid as at its edge.
Lanes interpolate(const std::vector<Lanes>& field, Extents extents, Lanes i, Lanes j) {
  Lanes result;
  for (int l = 0; l < kLanes; ++l) {
    // What is no number is taken for 0: a flow that has burst must not read beyond the field.
    const double y = i[l] > 0 ? std::min(i[l], extents.rows - 1.0) : 0.0;
    const double x = j[l] > 0 ? std::min(j[l], extents.columns - 1.0) : 0.0;
    const int row = std::min(static_cast<int>(y), extents.rows - 2);
    const int column = std::min(static_cast<int>(x), extents.columns - 2);
    const double down = y - row, right = x - column;
    const Lanes* at = &field[extents.at(row, column)];
    const double above = at[0][l] + right * (at[1][l] - at[0][l]);
    at += extents.columns;
    const double below = at[0][l] + right * (at[1][l] - at[0][l]);
    result[l] = above + down * (below - above);
  }
  return result;
}

// What a register holds: compilers keep wider vectors in memory.
#if defined(__AVX512F__)
constexpr int kRegister = 64;
#elif defined(__AVX__)
constexpr int kRegister = 32;
#else
constexpr int kRegister = 16;
#endif
using Register = double __attribute__((vector_size(kRegister), may_alias));
constexpr int kRegisters = sizeof(Lanes) / sizeof(Register);

// Sum over m from `most` to 1 of factors[m − 1]·from[kDirection·m]. The farthest first, so that the next row need not
// wait for the nearest.
template <int kDirection>
Lanes eliminate(const double* factors, int most, const Lanes* from) {
  constexpr int kSums = 4;
  Register sums[kSums][kRegisters] = {};
  const auto add = [&](Register* sum, int m) {
    const Register* const at = reinterpret_cast<const Register*>(from + kDirection * m);
    for (int part = 0; part < kRegisters; ++part) sum[part] += factors[m - 1] * at[part];
  };
  int m = most;
  for (; m >= kSums; m -= kSums) {
    for (int i = 0; i < kSums; ++i) add(sums[i], m - i);
  }
  for (; m >= 1; --m) add(sums[0], m);
  Lanes result;
  for (int part = 0; part < kRegisters; ++part) {
    reinterpret_cast<Register*>(&result)[part] = (sums[0][part] + sums[1][part]) + (sums[2][part] + sums[3][part]);
  }
  return result;
}

// One explicit step of the heat equation; at the edges no gradient.
void diffuseField(const std::vector<Lanes>& field, Extents extents, Lanes amount, std::vector<Lanes>& next) {
  for (int i = 0; i < extents.rows; ++i) {
    for (int j = 0; j < extents.columns; ++j) {
      const Lanes here = field[extents.at(i, j)];
      const Lanes around =
          field[extents.at(std::max(i - 1, 0), j)] + field[extents.at(std::min(i + 1, extents.rows - 1), j)] +
          field[extents.at(i, std::max(j - 1, 0))] + field[extents.at(i, std::min(j + 1, extents.columns - 1))];
      next[extents.at(i, j)] = here + amount * (around - 4 * here);
    }
  }
}

}  // namespace

Solver::Solver(int across, bool cylinder)
    : across_(across),
      solid_(static_cast<std::size_t>(along()) * across),
      u_(uSize()),
      v_(vSize()),
      nextU_(uSize()),
      nextV_(vSize()),
      pressure_(solid_.size()) {
  for (int i = 0; i < along(); ++i) {
    for (int j = 0; j < across; ++j) {
      const double y = (i + 0.5) * cell() - kCenter, x = (j + 0.5) * cell() - kCenter;
      solid_[cellAt(i, j)] = cylinder && x * x + y * y <= kRadius * kRadius;
    }
  }
  factorize();
}

std::vector<double> Solver::start() const {
  std::vector<double> state(size(), 0.0);
  std::fill_n(state.begin(), uSize(), 1.0);
  // In cells of the grid, whatever its resolution, as in the source.
  for (int i = along() / 2 + 10; i < std::min(along() / 2 + 20, along()); ++i) {
    for (int j = across_ / 2 - 2; j < across_ / 2 + 2; ++j) state[uSize() + vAt(i, j)] = 1;
  }
  return state;
}

bool Solver::openU(int i, int j) const {
  return !(inside(i - 1, j) && solid(i - 1, j)) && !(inside(i, j) && solid(i, j));
}

bool Solver::openV(int i, int j) const {
  return !(inside(i, j - 1) && solid(i, j - 1)) && !(inside(i, j) && solid(i, j));
}

void Solver::factorize() {
  const int band = across_;
  const std::size_t cells = solid_.size();
  below_.assign(cells * band, 0);
  above_.assign(cells * band, 0);
  inverse_.assign(cells, 1);
  // Row k of L at distance m.
  const auto entry = [&](std::size_t k, int m) -> double& { return below_[k * band + m - 1]; };
  std::vector<double> diagonal(cells, 1);
  for (int i = 0; i < along(); ++i) {
    for (int j = 0; j < across_; ++j) {
      const std::size_t k = cellAt(i, j);
      if (solid(i, j)) continue;
      diagonal[k] = openU(i, j) + openU(i + 1, j) + openV(i, j) + openV(i, j + 1);
      if (i > 0 && fluid(i - 1, j)) entry(k, band) = -1;
      if (j > 0 && fluid(i, j - 1)) entry(k, 1) = -1;
    }
  }
  for (std::size_t k = 0; k < cells; ++k) {
    const int most = static_cast<int>(std::min<std::size_t>(band, k));
    // From the farthest column on: entry(k, m) becomes L·D.
    for (int m = most; m >= 1; --m) {
      const std::size_t column = k - m;
      double sum = entry(k, m);
      for (int t = m + 1; t <= most && t - m <= band; ++t) sum -= entry(k, t) * entry(column, t - m);
      entry(k, m) = sum;
    }
    for (int m = 1; m <= most; ++m) {
      const double product = entry(k, m), factor = product * inverse_[k - m];
      diagonal[k] -= product * factor;
      entry(k, m) = factor;
      above_[(k - m) * band + m - 1] = factor;
    }
    inverse_[k] = 1 / diagonal[k];
  }
}

void Solver::solve(Lanes* pressure) const {
  const int band = across_;
  const std::ptrdiff_t cells = static_cast<std::ptrdiff_t>(solid_.size());
  for (std::ptrdiff_t k = 0; k < cells; ++k) {
    const int most = static_cast<int>(std::min<std::ptrdiff_t>(band, k));
    pressure[k] -= eliminate<-1>(&below_[k * band], most, pressure + k);
  }
  for (std::ptrdiff_t k = cells - 1; k >= 0; --k) {
    const int most = static_cast<int>(std::min<std::ptrdiff_t>(band, cells - 1 - k));
    pressure[k] = pressure[k] * inverse_[k] - eliminate<1>(&above_[k * band], most, pressure + k);
  }
}

void Solver::diffuse(Lanes amount) {
  diffuseField(u_, {along() + 1, across_}, amount, nextU_);
  diffuseField(v_, {along(), across_ + 1}, amount, nextV_);
  std::swap(u_, nextU_);
  std::swap(v_, nextV_);
}

void Solver::setInflow() {
  for (int i = 0; i <= along(); ++i) {
    u_[cellAt(i, 0)] = u_[cellAt(i, across_ - 1)] = spread(1);
  }
  for (int j = 0; j < across_; ++j) u_[cellAt(0, j)] = u_[cellAt(1, j)] = spread(1);
}

void Solver::advect() {
  const Extents uExtents{along() + 1, across_}, vExtents{along(), across_ + 1};
  const double cells = 1 / cell();  // that a velocity of 1 passes in a step
  for (int i = 0; i <= along(); ++i) {
    const int before = std::max(i - 1, 0), after = std::min(i, along() - 1);
    for (int j = 0; j < across_; ++j) {
      const Lanes sideways =
          0.25 * (v_[vAt(before, j)] + v_[vAt(before, j + 1)] + v_[vAt(after, j)] + v_[vAt(after, j + 1)]);
      nextU_[cellAt(i, j)] =
          interpolate(u_, uExtents, spread(i) - cells * u_[cellAt(i, j)], spread(j) - cells * sideways);
    }
  }
  for (int i = 0; i < along(); ++i) {
    for (int j = 0; j <= across_; ++j) {
      const int before = std::max(j - 1, 0), after = std::min(j, across_ - 1);
      const Lanes downstream =
          0.25 * (u_[cellAt(i, before)] + u_[cellAt(i + 1, before)] + u_[cellAt(i, after)] + u_[cellAt(i + 1, after)]);
      nextV_[vAt(i, j)] = interpolate(v_, vExtents, spread(i) - cells * downstream, spread(j) - cells * v_[vAt(i, j)]);
    }
  }
  std::swap(u_, nextU_);
  std::swap(v_, nextV_);
}

void Solver::project(Lanes forces[2]) {
  // In units of a face's velocity: what stops at the cylinder, and below the pressure's push.
  forces[0] = forces[1] = Lanes{};
  for (int i = 0; i <= along(); ++i) {
    for (int j = 0; j < across_; ++j) {
      if (openU(i, j)) continue;
      forces[0] += u_[cellAt(i, j)];
      u_[cellAt(i, j)] = Lanes{};
    }
  }
  for (int i = 0; i < along(); ++i) {
    for (int j = 0; j <= across_; ++j) {
      if (openV(i, j)) continue;
      forces[1] += v_[vAt(i, j)];
      v_[vAt(i, j)] = Lanes{};
    }
  }
  for (int i = 0; i < along(); ++i) {
    for (int j = 0; j < across_; ++j) {
      const Lanes outwards = u_[cellAt(i + 1, j)] - u_[cellAt(i, j)] + v_[vAt(i, j + 1)] - v_[vAt(i, j)];
      pressure_[cellAt(i, j)] = solid(i, j) ? Lanes{} : -outwards;
    }
  }
  solve(pressure_.data());
  const auto at = [&](int i, int j) { return fluid(i, j) ? pressure_[cellAt(i, j)] : Lanes{}; };
  for (int i = 0; i <= along(); ++i) {
    for (int j = 0; j < across_; ++j) {
      const Lanes difference = at(i, j) - at(i - 1, j);
      if (openU(i, j)) {
        u_[cellAt(i, j)] -= difference;
      } else {
        forces[0] -= difference;
      }
    }
  }
  for (int i = 0; i < along(); ++i) {
    for (int j = 0; j <= across_; ++j) {
      const Lanes difference = at(i, j) - at(i, j - 1);
      if (openV(i, j)) {
        v_[vAt(i, j)] -= difference;
      } else {
        forces[1] -= difference;
      }
    }
  }
  // A face's share of the mass is a cell's, the step has length 1, and the forces are measured by ρ/2 · 1² · the
  // diameter.
  const double scale = cell() * cell() / kRadius;
  forces[0] *= scale;
  forces[1] *= scale;
}

void Solver::step(int count, const double* viscosities, const double* const* states, double* const* next) {
  Lanes amount;
  // Lanes without a state repeat the first one.
  for (int l = 0; l < kLanes; ++l) {
    const int from = l < count ? l : 0;
    amount[l] = viscosities[from] / (cell() * cell());
    const double* state = states[from];
    for (Lanes& u : u_) u[l] = *state++;
    for (Lanes& v : v_) v[l] = *state++;
  }
  diffuse(amount);
  setInflow();
  advect();
  Lanes forces[2];
  project(forces);
  for (int l = 0; l < count; ++l) {
    double* to = next[l];
    for (const Lanes& u : u_) *to++ = u[l];
    for (const Lanes& v : v_) *to++ = v[l];
    *to++ = forces[0][l];
    *to++ = forces[1][l];
  }
}

double Solver::divergence(const double* state) const {
  const double *u = state, *v = state + uSize();
  double largest = 0;
  for (int i = 0; i < along(); ++i) {
    for (int j = 0; j < across_; ++j) {
      if (solid(i, j)) continue;
      const double outwards = u[cellAt(i + 1, j)] - u[cellAt(i, j)] + v[vAt(i, j + 1)] - v[vAt(i, j)];
      largest = std::max(largest, std::abs(outwards));
    }
  }
  return largest;
}

}  // namespace wake
