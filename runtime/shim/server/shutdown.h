// Requests to end a server: Control-C, termination signals, and the events of Windows.

#pragma once

// Must be called first, before the sandbox.
void prepare_shutdown();

// From now on, a request ends the server: Control-C within a second, even if the engine waits for slow clients or
// computes a part of a prompt; another request when the running answers have ended, or after --shutdown-seconds. A
// second request ends it at once. Must be called after the engine has installed its own handlers, which these replace.
void install_shutdown_handlers();

// Ends this process with status 0, after the running answers or SECONDS. Must not be called in a signal handler.
[[noreturn]] void end_after_answers(int seconds);

// Ends this process with status 0, within a second. Must not be called in a signal handler.
[[noreturn]] void end_soon();

// Calls HANDLER for each request instead, and interrupts reading from the terminal.
void install_interrupt_handler(void (*handler)(int signal));

// A client that closes its connection must not end the server.
void ignore_broken_pipes();
