// Reader of the ZIP archive at the end of a file: finds members and the offsets of their bytes.

#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace zip {

constexpr uint16_t STORED = 0;
constexpr uint16_t DEFLATED = 8;

struct Member {
    std::string name;
    uint16_t method;
    uint64_t compressed_size;
    uint64_t size;
    uint64_t header_offset;
    bool is_encrypted;
    uint32_t crc;
};

struct Archive {
    std::vector<Member> members;
    uint64_t directory_offset = 0; // 0 if the archive is damaged, so that no member has a place
    std::string damage;            // how the records contradict each other or the size of the file; empty if they agree
};

// Records contradict each other or the size of the file; what() tells how.
class Damaged : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Reads the directory of the archive at the end of FILE; nothing if there is none. All offsets are from the start of
// FILE.
std::optional<Archive> read_archive(std::FILE *file);

// Returns the offset of the bytes of MEMBER, from its local header. Throws Damaged.
uint64_t locate_data(std::FILE *file, const Archive &archive, const Member &member);

} // namespace zip
