// A small test harness: TEST("name") { ... } registers a case, ISA_TEST one that runs on every instruction set this
// machine has, CHECK and its kin count failures, main.cpp runs them all.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "kernels/kernels.hpp"

namespace deepzero::test {

struct Case {
  const char* name;
  void (*body)();
  bool onEveryIsa;
};

inline std::vector<Case>& cases() {
  static std::vector<Case> registered;
  return registered;
}

struct Registration {
  Registration(const char* name, void (*body)(), bool onEveryIsa) { cases().push_back({name, body, onEveryIsa}); }
};

// The kernels that the running case is to test: in a TEST the best that can run here.
inline const Kernels*& currentKernels() {
  static const Kernels* current = nullptr;
  return current;
}
inline const Kernels& kernels() { return *currentKernels(); }

// What went wrong in the running case, in the order found.
inline std::vector<std::string>& failures() {
  static std::vector<std::string> found;
  return found;
}

inline void fail(const char* file, int line, const std::string& message) {
  failures().push_back(std::string(file) + ":" + std::to_string(line) + ": " + message);
}

// Builds a message from parts.
template <typename... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream stream;
  stream.precision(9);
  (stream << ... << parts);
  return stream.str();
}

#define TEST_JOIN_(a, b) a##b
#define TEST_JOIN(a, b) TEST_JOIN_(a, b)
#define TEST_CASE(name, onEveryIsa)                                                                              \
  static void TEST_JOIN(testBody, __LINE__)();                                                                   \
  static const ::deepzero::test::Registration TEST_JOIN(testCase, __LINE__)(name, TEST_JOIN(testBody, __LINE__), \
                                                                            onEveryIsa);                         \
  static void TEST_JOIN(testBody, __LINE__)()
#define TEST(name) TEST_CASE(name, false)
#define ISA_TEST(name) TEST_CASE(name, true)

#define CHECK(condition)                                                             \
  do {                                                                               \
    if (!(condition)) ::deepzero::test::fail(__FILE__, __LINE__, "not " #condition); \
  } while (false)

// `failure` is a description of what is wrong, empty if nothing is.
#define CHECK_PASSES(failure)                                                \
  do {                                                                       \
    const std::string found_ = (failure);                                    \
    if (!found_.empty()) ::deepzero::test::fail(__FILE__, __LINE__, found_); \
  } while (false)

#define CHECK_NEAR(actual, expected, tolerance) CHECK_PASSES(::deepzero::test::differs(actual, expected, tolerance))

#define CHECK_THROWS(Type, ...)                                                                  \
  do {                                                                                           \
    bool thrown_ = false;                                                                        \
    try {                                                                                        \
      __VA_ARGS__;                                                                               \
    } catch (const Type&) {                                                                      \
      thrown_ = true;                                                                            \
    }                                                                                            \
    if (!thrown_) ::deepzero::test::fail(__FILE__, __LINE__, "no " #Type " from " #__VA_ARGS__); \
  } while (false)

// Says so if two numbers are further apart than the tolerance; NaN is near nothing.
inline std::string differs(double actual, double expected, double tolerance) {
  const double distance = actual > expected ? actual - expected : expected - actual;
  if (distance <= tolerance) return "";
  return text("got ", actual, ", expected ", expected, " within ", tolerance);
}

}  // namespace deepzero::test
