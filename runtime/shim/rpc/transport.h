// The engine's connections to workers (its transport.h, which this replaces the implementation of).

#pragma once

#include <cstdint>
#include <string>

// The engine takes HOST:PORT apart at the first colon: in this form an address of IPv6 has none.
std::string encoded_host(const std::string &host);

// Bytes to and from all workers since the program started.
struct Traffic {
    std::uint64_t sent;
    std::uint64_t received;
};

Traffic traffic();

// Has each thread that sends to a worker call FUNCTION once, before it sends.
void call_before_sending(void (*function)());

// The worker that this thread talks with, if its connection is established; empty if there is none.
std::string worker_of_this_thread();
