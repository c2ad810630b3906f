#include "ranks/waiting.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <thread>

namespace deepzero {

// A process that waited for longer was suspended, with the others perhaps.
static constexpr std::chrono::duration<double> kMostAtOnce(1);

bool waitFor(Pending& pending, std::chrono::duration<double> patience, const std::function<bool()>& leave) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point asked = Clock::now();
  std::chrono::duration<double> waited(0);
  auto pause = std::chrono::microseconds(0);
  while (!pending.done()) {
    if (leave && leave()) return false;
    const Clock::time_point now = Clock::now();
    waited += std::min<std::chrono::duration<double>>(now - asked, kMostAtOnce);
    asked = now;
    if (patience.count() > 0 && waited > patience) {
      throw RanksLost("the other ranks have not answered for " + std::to_string(std::lround(waited.count())) +
                      " s: they died, are out of reach, or need a longer DEEPZERO_RANKS_PATIENCE");
    }
    // What is short is not slept through; what is long costs no core.
    pause = waited < std::chrono::microseconds(50)
                ? std::chrono::microseconds(0)
                : std::clamp(2 * pause, std::chrono::microseconds(20), std::chrono::microseconds(1000));
    if (pause.count() > 0) std::this_thread::sleep_for(pause);
  }
  return true;
}

}  // namespace deepzero
