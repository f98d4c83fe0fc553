// The engine's memory of a text that may grow longer than the context: its middle is forgotten.

#pragma once

#include "common.h"
#include "llama.h"

#include <cstddef>

class ContextWindow {
  public:
    ContextWindow(const common_params &params, llama_context *context);

    // How many tokens fit at all.
    size_t size() const { return capacity; }

    // How many tokens are there. The engine adds them by itself, so it must be told.
    size_t used() const { return taken; }
    void set_used(size_t count) { taken = count; }

    // Of the first PRESENT tokens, COUNT are never forgotten; all of them if it is negative.
    void keep(int count, size_t present);

    // Makes room for COUNT more tokens, if need be by forgetting. False if that is impossible or not wanted.
    bool make_room(size_t count);

    // True once anything has been forgotten, or moved: what is in memory is no prefix of the text any more.
    bool has_moved() const { return moved; }

  private:
    bool forget();
    void extend();

    llama_memory_t memory;
    size_t capacity;
    size_t taken = 0;
    size_t kept = 0;
    bool shifts;
    bool moved = false;
    int group_factor; // self-extend (-gan, -gaw)
    int group_width;
    int group_start = 0;
};
