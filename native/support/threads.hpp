// Whether a computation's threads can be started.
#pragma once

namespace deepzero {

// Throws unless this process may have this many threads: OpenMP ends the process if it cannot start one. OpenMP keeps
// its threads, so that those that an earlier call of this thread asked for are there.
void tryThreads(int count);

}  // namespace deepzero
