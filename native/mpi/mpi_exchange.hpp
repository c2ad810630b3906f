// Ranks that a launcher of MPI has started. The MPI library is loaded at run time, so neither building nor installing
// needs one.
#pragma once

#include <memory>
#include <string>

#include "ranks/exchange.hpp"

namespace deepzero {

// One call at a time, on any thread. Errors of MPI are RanksLost, with its text in one line.
class MpiExchange : public Exchange {
 public:
  // Loads a library, by its path or by a name that the system looks up, and joins the ranks; without a launcher there
  // is one. Waits until all have started. Throws std::runtime_error if the library cannot be loaded or is none of MPI;
  // then another one may be tried. MPI itself ends the process where it cannot start at all.
  static std::unique_ptr<MpiExchange> start(const std::string& path);

  MpiExchange(const MpiExchange&) = delete;

  int rank() const override { return rank_; }
  int count() const override { return count_; }
  // The first line of what the library says of itself: "MPICH Version: 4.0.2".
  const std::string& library() const { return library_; }

  // Leaves the other ranks, and waits until they do. Nothing may be called afterwards.
  virtual void finish() = 0;

  // Ends this process with that exit code, and all other ranks.
  [[noreturn]] virtual void abort(int code) = 0;

 protected:
  MpiExchange() = default;

  int rank_ = 0;
  int count_ = 1;
  std::string library_;
};

}  // namespace deepzero
