// Requests to end a server: Control-C and termination signals.

#pragma once

// Must be called first, before the sandbox.
void prepare_shutdown();

// From now on, a request ends the server within a second, even if the engine waits for slow clients or computes a part
// of a prompt; a second request ends it at once. Must be called after the engine has installed its own handlers, which
// are called first.
void install_shutdown_handlers();

// Calls HANDLER for each request instead, and interrupts reading from the terminal.
void install_interrupt_handler(void (*handler)(int signal));

// A client that closes its connection must not end the server.
void ignore_broken_pipes();
