// The state of the engine's memory behind the tokens of a system prompt.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

// Bytes that are not set before they are written: a state may have gigabytes.
struct Block {
    std::unique_ptr<uint8_t[]> bytes;
    size_t size = 0;

    // Without bytes, and of size 0, if there is no memory for COUNT of them.
    static Block of_size(size_t count) {
        Block block;
        block.bytes.reset(new (std::nothrow) uint8_t[count]);
        block.size = block.bytes == nullptr ? 0 : count;
        return block;
    }
};

struct PromptState {
    uint64_t context = 0; // what the state depends on beside its tokens: identity.h
    std::vector<int32_t> tokens;
    Block target; // of the model
    Block draft;  // of the one that drafts, if there is one

    size_t size() const { return tokens.size() * sizeof(int32_t) + target.size + draft.size; }
};
