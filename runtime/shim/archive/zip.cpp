// ZIP records of APPNOTE.TXT 6.3.10, §4.3, as far as a reader of stored members needs them.

#include "archive/zip.h"

#include "base/file.h"

#include <algorithm>
#include <cstring>

namespace zip {
namespace {

// A little-endian number of N bytes without alignment: the structs below have the layout of the file.
template <int N> struct Little {
    unsigned char bytes[N];

    uint64_t value() const {
        uint64_t result = 0;
        for (int i = N - 1; i >= 0; --i) {
            result = result << 8 | bytes[i];
        }
        return result;
    }
};

using U16 = Little<2>;
using U32 = Little<4>;
using U64 = Little<8>;

constexpr uint32_t LOCAL_HEADER_SIGNATURE = 0x04034b50;
constexpr uint32_t DIRECTORY_HEADER_SIGNATURE = 0x02014b50;
constexpr uint32_t END_SIGNATURE = 0x06054b50;
constexpr uint32_t END64_SIGNATURE = 0x06064b50;
constexpr uint32_t LOCATOR64_SIGNATURE = 0x07064b50;

constexpr uint16_t ENCRYPTED = 1; // in the flags, §4.4.4
constexpr uint16_t ZIP64_EXTRA = 0x0001;
constexpr uint32_t IN_ZIP64 = 0xffffffff;

struct LocalHeader { // §4.3.7
    U32 signature;
    U16 version_needed, flags, method, time, date;
    U32 crc, compressed_size, size;
    U16 name_size, extra_size;
};
static_assert(sizeof(LocalHeader) == 30, "APPNOTE 4.3.7");

struct DirectoryHeader { // §4.3.12
    U32 signature;
    U16 version_made_by, version_needed, flags, method, time, date;
    U32 crc, compressed_size, size;
    U16 name_size, extra_size, comment_size, disk, internal_attributes;
    U32 external_attributes, header_offset;
};
static_assert(sizeof(DirectoryHeader) == 46, "APPNOTE 4.3.12");

struct End { // §4.3.16
    U32 signature;
    U16 disk, directory_disk, disk_entries, entries;
    U32 directory_size, directory_offset;
    U16 comment_size;
};
static_assert(sizeof(End) == 22, "APPNOTE 4.3.16");

struct End64 { // §4.3.14
    U32 signature;
    U64 record_size;
    U16 version_made_by, version_needed;
    U32 disk, directory_disk;
    U64 disk_entries, entries, directory_size, directory_offset;
};
static_assert(sizeof(End64) == 56, "APPNOTE 4.3.14");

struct Locator64 { // §4.3.15
    U32 signature, end64_disk;
    U64 end64_offset;
    U32 disks;
};
static_assert(sizeof(Locator64) == 20, "APPNOTE 4.3.15");

// About 600,000 members. Bounds the allocation for a malicious file.
constexpr uint64_t LARGEST_DIRECTORY = 64 << 20;

bool read_at(std::FILE *file, uint64_t offset, void *bytes, size_t size) {
    return seek(file, offset) && std::fread(bytes, 1, size, file) == size;
}

struct Extent {
    uint64_t offset, size, entries;
};

struct FoundEnd {
    End record;
    uint64_t offset;
};

// Finds the end record: the last one whose comment ends exactly at the end of the file.
std::optional<FoundEnd> find_end(std::FILE *file, uint64_t size) {
    if (size < sizeof(End)) {
        return std::nullopt;
    }
    const uint64_t tail_size = std::min<uint64_t>(size, sizeof(End) + 0xffff);
    std::vector<unsigned char> tail(tail_size);
    if (!read_at(file, size - tail_size, tail.data(), tail_size)) {
        return std::nullopt;
    }
    for (uint64_t at = tail_size - sizeof(End) + 1; at-- > 0;) {
        End end{};
        std::memcpy(&end, &tail[at], sizeof end);
        if (end.signature.value() == END_SIGNATURE && at + sizeof end + end.comment_size.value() == tail_size) {
            return FoundEnd{end, size - tail_size + at};
        }
    }
    return std::nullopt;
}

// Nothing if there is no end record. Throws Damaged.
std::optional<Extent> find_directory(std::FILE *file, uint64_t size) {
    const std::optional<FoundEnd> found = find_end(file, size);
    if (!found) {
        return std::nullopt;
    }
    const auto &[end, end_offset] = *found;
    Extent directory = {end.directory_offset.value(), end.directory_size.value(), end.entries.value()};
    uint64_t directory_end = end_offset;
    Locator64 locator{};
    if (end_offset >= sizeof locator && read_at(file, end_offset - sizeof locator, &locator, sizeof locator) &&
        locator.signature.value() == LOCATOR64_SIGNATURE) {
        End64 end64{};
        directory_end = locator.end64_offset.value();
        if (directory_end > end_offset - sizeof locator || end_offset - sizeof locator - directory_end < sizeof end64 ||
            !read_at(file, directory_end, &end64, sizeof end64) || end64.signature.value() != END64_SIGNATURE) {
            throw Damaged("the ZIP64 end record is not where its locator says");
        }
        directory = {end64.directory_offset.value(), end64.directory_size.value(), end64.entries.value()};
    }
    if (directory.size > LARGEST_DIRECTORY || directory.offset > directory_end ||
        directory.size > directory_end - directory.offset) {
        throw Damaged("the directory does not lie before its end record");
    }
    return directory;
}

// Replaces the fields whose bits are all set by those of the ZIP64 extra field, in the order of §4.5.3.
bool apply_zip64(const unsigned char *extra, size_t extra_size, Member &member) {
    uint64_t *wanted[3];
    size_t count = 0;
    for (uint64_t *field : {&member.size, &member.compressed_size, &member.header_offset}) {
        if (*field == IN_ZIP64) {
            wanted[count++] = field;
        }
    }
    while (count > 0 && extra_size >= 4) {
        U16 id, size;
        std::memcpy(&id, extra, sizeof id);
        std::memcpy(&size, extra + 2, sizeof size);
        const size_t field_size = size.value();
        if (field_size > extra_size - 4) {
            return false;
        }
        if (id.value() == ZIP64_EXTRA) {
            if (field_size < count * sizeof(U64)) {
                return false;
            }
            for (size_t i = 0; i < count; ++i) {
                U64 number;
                std::memcpy(&number, extra + 4 + i * sizeof number, sizeof number);
                *wanted[i] = number.value();
            }
            return true;
        }
        extra += 4 + field_size;
        extra_size -= 4 + field_size;
    }
    return true; // without the extra field, the value is an ordinary number
}

bool parse_directory(const std::vector<unsigned char> &bytes, uint64_t entries, Archive &archive) {
    size_t at = 0;
    while (at < bytes.size()) {
        DirectoryHeader header{};
        if (bytes.size() - at < sizeof header) {
            return false;
        }
        std::memcpy(&header, &bytes[at], sizeof header);
        at += sizeof header;
        const size_t name_size = header.name_size.value(), extra_size = header.extra_size.value();
        const size_t variable_size = name_size + extra_size + header.comment_size.value();
        if (header.signature.value() != DIRECTORY_HEADER_SIGNATURE || bytes.size() - at < variable_size) {
            return false;
        }
        const char *name = reinterpret_cast<const char *>(bytes.data() + at);
        Member member{std::string(name, name_size),
                      static_cast<uint16_t>(header.method.value()),
                      header.compressed_size.value(),
                      header.size.value(),
                      header.header_offset.value(),
                      (header.flags.value() & ENCRYPTED) != 0,
                      static_cast<uint32_t>(header.crc.value())};
        if (!apply_zip64(bytes.data() + at + name_size, extra_size, member)) {
            return false;
        }
        archive.members.push_back(std::move(member));
        at += variable_size;
    }
    return archive.members.size() == entries;
}

} // namespace

std::optional<Archive> read_archive(std::FILE *file) {
    Archive archive;
    try {
        const std::optional<uint64_t> size = file_size(file);
        if (!size) {
            throw Damaged("its size cannot be read");
        }
        const std::optional<Extent> directory = find_directory(file, *size);
        if (!directory) {
            return std::nullopt;
        }
        std::vector<unsigned char> bytes(directory->size);
        if (!read_at(file, directory->offset, bytes.data(), bytes.size()) ||
            !parse_directory(bytes, directory->entries, archive)) {
            throw Damaged("the directory is not a list of as many entries as its end record counts");
        }
        archive.directory_offset = directory->offset;
    } catch (const Damaged &error) {
        archive.damage = error.what();
    }
    return archive;
}

uint64_t locate_data(std::FILE *file, const Archive &archive, const Member &member) {
    LocalHeader header{};
    const uint64_t limit = archive.directory_offset;
    if (member.header_offset > limit || limit - member.header_offset < sizeof header ||
        !read_at(file, member.header_offset, &header, sizeof header) ||
        header.signature.value() != LOCAL_HEADER_SIGNATURE) {
        throw Damaged("its local header is not where the directory says");
    }
    std::string name(header.name_size.value(), '\0');
    if (!read_at(file, member.header_offset + sizeof header, name.data(), name.size()) || name != member.name) {
        throw Damaged("its local header has another name than the directory");
    }
    const uint64_t data_offset = member.header_offset + sizeof header + name.size() + header.extra_size.value();
    if (data_offset > limit || member.compressed_size > limit - data_offset) {
        throw Damaged("its bytes reach beyond the directory");
    }
    return data_offset;
}

} // namespace zip
