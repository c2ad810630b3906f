// What carries numbers between ranks, the processes that share an estimate's queries. Rank 0 leads: it alone knows what
// is computed, and sends the others their work.
//
// Numbers travel bit for bit as doubles, which may hold anything. On each channel all ranks start the same operations
// in the same order.
#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <vector>

namespace deepzero {

// Nothing was heard of the other ranks for too long, or MPI failed: no more can be exchanged.
struct RanksLost : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// An operation that goes on by itself. If it is dropped before it is done, its buffers live on.
class Pending {
 public:
  virtual ~Pending() = default;
  virtual bool done() = 0;
};

// Commands and results, or the signal that ends a command, which may overtake them.
enum class Channel { Work, Signal };

using Numbers = std::shared_ptr<std::vector<double>>;

// That an operation may have: MPI counts in ints.
inline constexpr std::size_t kMostNumbers = 0x7fffffff;

class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual int rank() const = 0;
  virtual int count() const = 0;
  // Rank 0's numbers become everybody's; all give equally many.
  virtual std::unique_ptr<Pending> broadcast(Channel channel, Numbers numbers) = 0;
  // Everybody's numbers arrive at rank 0 in `all`, one behind the other; only there `counts`, by rank, and `all` are
  // read.
  virtual std::unique_ptr<Pending> gather(Numbers mine, const std::vector<std::size_t>& counts, Numbers all) = 0;
};

}  // namespace deepzero
