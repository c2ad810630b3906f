// For tests of the tests: a copy of the real table in which one kernel is wrong, and the check that must find it.
#pragma once

#include <functional>
#include <string>

#include "harness.hpp"
#include "kernel_checks.hpp"

namespace deepzero::test {

// A copy of the real table with something replaced.
template <typename Break>
Kernels broken(Break makeWrong) {
  Kernels table = kernels();
  makeWrong(table);
  return table;
}

// The check passes the real kernels and fails the broken ones.
inline std::string mustCatch(const Kernels& wrong, const std::function<std::string(const Kernels&)>& check) {
  const std::string failure = check(kernels());
  if (!failure.empty()) return "the real kernel failed: " + failure;
  return check(wrong).empty() ? "the wrong kernel passed" : "";
}

}  // namespace deepzero::test
