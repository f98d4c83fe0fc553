// The engine's memory of a text that may grow longer than the context: tokens from its middle are discarded.

#pragma once

#include "common.h"
#include "llama.h"

#include <cstddef>

class ContextWindow {
  public:
    ContextWindow(const common_params &params, llama_context *context);

    // The capacity in tokens.
    size_t size() const { return capacity; }

    // The number of tokens in memory. The engine adds them, so callers must keep this up to date.
    size_t used() const { return taken; }
    void set_used(size_t count) { taken = count; }

    // Protects the first COUNT of PRESENT tokens from being discarded; all of them if COUNT is negative.
    void keep(int count, size_t present);

    // Makes room for COUNT more tokens, if necessary by discarding others. False if that is impossible or disabled.
    bool make_room(size_t count);

    // True if tokens have been discarded or moved: the memory no longer contains a prefix of the text.
    bool has_moved() const { return moved; }

  private:
    bool discard();
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
