// Members of the archive that zstd compressed: the second program and the shaders.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

struct CompressedMember {
    std::string bytes;
    uint64_t size; // inflated
};

// The member NAME of the own container; nothing if there is none. Throws UserError if it is damaged.
std::optional<CompressedMember> read_compressed(const std::string &name);

// Inflates MEMBER to TARGET, which has the room. Throws UserError if it is damaged.
void inflate(const CompressedMember &member, void *target);
