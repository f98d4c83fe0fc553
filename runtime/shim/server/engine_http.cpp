// The engine's HTTP layer, with our class for its servers. It is compiled here and not in the engine's build, so that
// the linker finds these definitions before those in the engine's library, and what stands in front of the engine's
// routes can change without building the engine.

// With its folder, and first: Windows has a header of this name too, which the engine's file would include.
#include "common/http.h"

#include "server/front.h"

namespace httplib {
using EngineServer = ::Front;
}

// NOLINTBEGIN
#define Server EngineServer
#include "server-http.cpp"
#undef Server
// NOLINTEND
