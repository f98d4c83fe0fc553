// The functions that the engine's server calls (hooks/hooks.h).

#include "hooks/hooks.h"

#include "base/router_child.h"
#include "sandbox/sandbox.h"
#include "server/listening.h"
#include "server/session.h"
#include "server/shutdown.h"

#include <cstdio>

std::string llamafile_model_name(const std::string &fallback, const std::string &requested) {
    return session().has_alias || requested.empty() ? fallback : requested;
}

void llamafile_listening(const std::string &address) {
    Session &state = session();
    if (state.is_chat) {
        // Ends the line in which the chat shows that it loads.
        std::fputs("\n", stdout);
        std::fflush(stdout);
    }
    if (is_router_child()) {
        state.is_announced = true; // its address is the router's affair
        install_shutdown_handlers();
        return;
    }
    announce(address);
    if (state.pages.has_page()) {
        state.browser.open(address, state.page_path);
    }
    if (!state.is_chat) {
        install_shutdown_handlers();
    }
}

void llamafile_serving() {
    session().limits_requests = true;
    confine_serving();
}
