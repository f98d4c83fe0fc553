// Writes states in the background, each when the answer has ended for which it was computed.

#pragma once

#include "prompts/state.h"
#include "prompts/store.h"

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

class StateWriter {
  public:
    explicit StateWriter(PromptStore &states) : store(states) {}

    // Keeps STATE in memory until the answer of SEQUENCE ends.
    void hold(int sequence, PromptState state);
    void answer_ended(int sequence);

    // The bytes of the states that are in memory.
    size_t held_size();

    // Returns when everything is written that can be; the writer must not be used again.
    void finish();

  private:
    void run();

    PromptStore &store;
    std::mutex mutex;
    std::condition_variable change;
    std::map<int, PromptState> held; // by sequence
    std::deque<PromptState> ready;
    size_t size_in_memory = 0;
    bool has_said_where = false;
    bool is_ending = false;
    std::thread thread;
};
