// Read-only view of a ZIP archive at the end of a file: enough to find a stored member and say where its bytes are.

#pragma once

#include <cstdint>
#include <cstdio>
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

enum class Reading {
    OK,
    ABSENT,  // the file carries no archive
    DAMAGED, // it carries one that contradicts itself; `problem` says how
};

struct Archive {
    std::vector<Member> members;
    uint64_t directory_offset = 0;
};

// Reads the directory of the archive that FILE ends with. All offsets count from the start of the file.
Reading read_archive(std::FILE *file, Archive &archive, std::string &problem);

// Finds where the bytes of MEMBER start, from its local header. False if the header contradicts the directory.
bool locate_data(std::FILE *file, const Archive &archive, const Member &member, uint64_t &data_offset,
                 std::string &problem);

// Positions FILE at an absolute offset, on every system beyond 2 GiB.
bool seek(std::FILE *file, uint64_t offset);

} // namespace zip
