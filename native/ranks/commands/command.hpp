// What rank 0 has the others compute, and what they answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <vector>

namespace deepzero {

enum class Command : std::uint64_t {
  End,
  Coordinates,
  Directions,
  Sum,
  CoordinateOutputs,
  DirectionOutputs,
  CoordinateRollouts,
  DirectionRollouts
};

// Sent before a command's message, and behind it for every rank how many numbers it has to answer: a rank whose part
// fails knows that too.
struct Head {
  Command command = Command::End;
  std::uint64_t length = 0;  // of the message
  std::uint64_t threads = 1;
};

// Of a head with the lengths behind it, in numbers.
constexpr std::size_t headLength(int ranks) { return sizeof(Head) / sizeof(double) + ranks; }

// Sent on Channel::Signal, once for each command: all have answered, or nothing more need be computed.
enum class Signal : std::uint64_t { Done, Stop };

// How a rank's part of a command ended.
enum class Status : std::uint64_t { Done, NonFinite, Stopped, Failed };

// Sent in front of its numbers.
struct Outcome {
  Status status = Status::Done;
  std::int64_t query = -1;   // without a finite loss: a coordinate, a direction, or −1 for the unperturbed one
  std::uint64_t digest = 0;  // of the unperturbed evaluation; 0 if it was not made
  char reason[1000] = {};    // of a failure, in one line
};

// A rank's part: its numbers are there if it is done, and `thrown` if not.
struct Part {
  Outcome outcome;
  std::vector<double> numbers;
  std::exception_ptr thrown;

  // Turns the exception that is being handled into the outcome.
  void fail();
};

// Fills a part. Whatever `compute` throws becomes its outcome: a rank always answers.
template <typename PartType, typename Compute>
PartType attempt(Compute compute) {
  PartType part;
  try {
    compute(part);
  } catch (...) {
    part.fail();
  }
  return part;
}

}  // namespace deepzero
