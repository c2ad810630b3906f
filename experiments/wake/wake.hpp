// The unsteady wake of a cylinder: a plane flow of velocity 1 through a box that is 200 long and 100 wide, open all
// around, past a cylinder of radius 10 at (50, 50). The set-up of Um et al., NeurIPS 2020, "Solver-in-the-Loop",
// karman-2d.
//
// The grid is staggered. Velocities u along the stream lie on the faces between cells that follow each other along it,
// [along + 1][across], velocities v across on the other faces, [along][across + 1]. A state is u, v, and the drag and
// lift of the last step.
//
// A step of length 1 is explicit diffusion, the inflow, semi-Lagrangian advection, and the projection on velocities
// without divergence by a direct solve.
#pragma once

#include <cstddef>
#include <vector>

namespace wake {

// The same number of up to kLanes states, side by side.
constexpr int kLanes = 8;
using Lanes = double __attribute__((vector_size(kLanes * sizeof(double))));

constexpr double kWidth = 100, kRadius = 10, kCenter = 50;

// The source's numbers: Re = re·10/128², and the viscosity is 1e4/re.
inline double viscosityOf(double reynolds) { return 1e4 * 10 / (128.0 * 128.0) / reynolds; }

class Solver {
 public:
  // A grid of 2·across × across cells.
  explicit Solver(int across, bool cylinder = true);

  int across() const { return across_; }
  int along() const { return 2 * across_; }
  double cell() const { return kWidth / across_; }
  std::size_t uSize() const { return static_cast<std::size_t>(along() + 1) * across_; }
  std::size_t vSize() const { return static_cast<std::size_t>(along()) * (across_ + 1); }
  std::size_t size() const { return uSize() + vSize() + 2; }

  // Velocity 1 along the stream, and a poke sideways behind the cylinder, without which the wake would stay steady.
  std::vector<double> start() const;
  // One step of `count` <= kLanes states of these kinematic viscosities.
  void step(int count, const double* viscosities, const double* const* states, double* const* next);

  // Σ over a cell's faces of the velocity outwards, the largest of all cells in the fluid.
  double divergence(const double* state) const;
  bool solid(int i, int j) const { return solid_[cellAt(i, j)]; }
  // Solves (number of neighbours)·p − Σ neighbours' p = p₀ in place, [along][across]; p is 0 outside of the box, and
  // cells of the cylinder are no neighbours.
  void solve(Lanes* pressure) const;

 private:
  std::size_t cellAt(int i, int j) const { return static_cast<std::size_t>(i) * across_ + j; }
  std::size_t vAt(int i, int j) const { return static_cast<std::size_t>(i) * (across_ + 1) + j; }
  bool inside(int i, int j) const { return i >= 0 && j >= 0 && i < along() && j < across_; }
  bool fluid(int i, int j) const { return inside(i, j) && !solid(i, j); }
  bool openU(int i, int j) const;
  bool openV(int i, int j) const;
  void factorize();
  void diffuse(Lanes amount);
  void setInflow();
  void advect();
  // Drag and lift, per ρU²/2 and diameter.
  void project(Lanes forces[2]);

  int across_;
  std::vector<char> solid_;  // by cell
  // The factors of L·D·Lᵀ: by cell and distance m from 1 to across, L[cell][cell − m] and L[cell + m][cell]; and 1/D.
  std::vector<double> below_, above_, inverse_;
  std::vector<Lanes> u_, v_, nextU_, nextV_, pressure_;
};

}  // namespace wake
