#include "server/shutdown.h"

#include "server/drain.h"

#include <chrono>
#include <cstdlib>
#include <system_error>
#include <thread>

// Of the engine (tools/server/server.cpp has no header): lets llama_server() return.
void llama_server_terminate();

void end_after_answers(int seconds) {
    drain(seconds);
    end_soon();
}

void end_soon() {
    try {
        std::thread(llama_server_terminate).detach();
        std::this_thread::sleep_for(std::chrono::seconds(1)); // main() ends the process meanwhile
    } catch (const std::system_error &) {
        std::_Exit(0); // there is no thread for it
    }
    std::_Exit(0);
}
