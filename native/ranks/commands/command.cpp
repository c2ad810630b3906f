#include "ranks/commands/command.hpp"

#include <cstring>
#include <new>

#include "support/control.hpp"
#include "support/text.hpp"

namespace deepzero {

void Part::fail() {
  thrown = std::current_exception();
  numbers.clear();
  const auto end = [&](Status status, const char* reason, std::int64_t query = -1) {
    outcome.status = status;
    outcome.query = query;
    std::strncpy(outcome.reason, inOneLine(reason).c_str(), sizeof outcome.reason - 1);
  };
  try {
    throw;
  } catch (const Cancelled& error) {
    end(Status::Stopped, error.what());
  } catch (const NonFinite& error) {
    end(Status::NonFinite, error.what(), error.coordinate);
  } catch (const std::bad_alloc&) {
    end(Status::Failed, "not enough memory");
  } catch (const std::exception& error) {
    end(Status::Failed, error.what());
  } catch (...) {
    end(Status::Failed, "an unknown error");
  }
}

}  // namespace deepzero
