// Runs every registered case, or those whose name contains the first argument.
#include <cstdio>
#include <cstring>
#include <exception>

#include "harness.hpp"

namespace {

using namespace deepzero::test;

// Runs a case on one table and says how it went; true if well.
bool run(const Case& item, const char* isa) {
  currentKernels() = deepzero::findKernels(isa);
  failures().clear();
  try {
    item.body();
  } catch (const std::exception& error) {
    failures().push_back(std::string("unexpected exception: ") + error.what());
  }
  const bool ok = failures().empty();
  const std::string where = item.onEveryIsa ? std::string(" [") + isa + "]" : "";
  std::printf("%s  %s%s\n", ok ? "ok  " : "FAIL", item.name, where.c_str());
  for (std::size_t i = 0; i < failures().size() && i < 5; ++i) std::printf("      %s\n", failures()[i].c_str());
  if (failures().size() > 5) std::printf("      and %zu more\n", failures().size() - 5);
  std::fflush(stdout);
  return ok;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const* isas;
  const int count = deepzero::supportedIsas(&isas);
  int passed = 0, failed = 0;
  for (const Case& item : cases()) {
    if (argc > 1 && std::strstr(item.name, argv[1]) == nullptr) continue;
    for (int isa = 0; isa < (item.onEveryIsa ? count : 1); ++isa) ++(run(item, isas[isa]) ? passed : failed);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}
