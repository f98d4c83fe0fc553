// Maps model files: the functions that member_file.h puts in place of the system's in llama-mmap.cpp.
//
// The engine addresses tensors by their offset from the start of the file, so members are mapped at the same offset
// from the start of a reserved range, without a copy.

#include "hooks/mapping.h"
#include "hooks/member_file.h"
#include "hooks/open_members.h"
#include "hooks/sigbus.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <map>
#include <mutex>
#include <unistd.h>

#ifdef __linux__
#include <linux/mman.h>
#endif

// From here on, these names mean the functions of the system.
#undef mlock
#undef mmap
#undef munlock
#undef posix_madvise

extern "C" std::FILE *ggml_fopen(const char *path, const char *mode);

namespace {

std::mutex table_mutex;

// Addresses for all of a file, [0, size), of which only the member is mapped.
struct Reservation {
    uintptr_t address;
    uintptr_t mapped_start;
    uintptr_t mapped_end;
};

std::map<uintptr_t, Reservation> &reservations() {
    static std::map<uintptr_t, Reservation> table;
    return table;
}

// Linux maps 2 MiB of a file at once if address and file offset are both multiples of 2 MiB, and chooses addresses
// accordingly; so do we. Reading of weights becomes up to 10 % faster.
constexpr uintptr_t LARGE_PAGE_SIZE = uintptr_t{2} << 20;

// Reserves SIZE bytes of addresses; null, with errno set, if there are none.
char *reserve(size_t size) {
    int flags = MAP_PRIVATE | MAP_ANON;
#ifdef MAP_NORESERVE
    flags |= MAP_NORESERVE;
#endif
    void *reserved = mmap(nullptr, size + LARGE_PAGE_SIZE, PROT_NONE, flags, -1, 0);
    if (reserved == MAP_FAILED) {
        return nullptr;
    }
    const auto page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto address = reinterpret_cast<uintptr_t>(reserved);
    const uintptr_t base = (address + LARGE_PAGE_SIZE - 1) / LARGE_PAGE_SIZE * LARGE_PAGE_SIZE;
    const uintptr_t end = (base + size + page_size - 1) / page_size * page_size;
    if (base > address) {
        munmap(reserved, base - address);
    }
    munmap(reinterpret_cast<void *>(end), address + size + LARGE_PAGE_SIZE - end);
    return reinterpret_cast<char *>(base);
}

// mmap(), with a MAP_POPULATE that reads 2 MiB at once: Linux itself reads only its read-ahead size, 128 KiB for most
// disks, and maps no pages larger than that.
void *map_file(void *address, size_t size, int protection, int flags, int descriptor, off_t offset) {
#ifdef MADV_POPULATE_READ
    if ((flags & MAP_POPULATE) != 0) {
        void *mapped = mmap(address, size, protection, flags & ~MAP_POPULATE, descriptor, offset);
        if (mapped == MAP_FAILED) {
            return mapped;
        }
        madvise(mapped, size, MADV_HUGEPAGE);
        if (madvise(mapped, size, MADV_POPULATE_READ) == 0 || errno != EINVAL) {
            return mapped;
        }
        address = mapped; // before Linux 5.14
        flags |= MAP_FIXED;
    }
#endif
    return mmap(address, size, protection, flags, descriptor, offset);
}

// Adds a reservation, and removes those that were unmapped at these addresses before.
void *remember(void *address, size_t size, uint64_t start) {
    const auto base = reinterpret_cast<uintptr_t>(address);
    const std::lock_guard<std::mutex> lock(table_mutex);
    auto &table = reservations();
    auto stale = table.lower_bound(base);
    if (stale != table.begin() && std::prev(stale)->second.mapped_end > base) {
        --stale;
    }
    table.erase(stale, table.lower_bound(base + size));
    table[base] = {base, base + start, base + size};
    return address;
}

} // namespace

void *member_mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset) {
    handle_sigbus();
    const std::optional<MemberExtent> extent = address == nullptr && offset == 0 ? member_of(descriptor) : std::nullopt;
    if (!extent || size > extent->end) {
        void *mapped = map_file(address, size, protection, flags, descriptor, offset);
        return mapped == MAP_FAILED ? mapped : remember(mapped, size, 0);
    }
    const auto page_size = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    const uint64_t start = extent->offset / page_size * page_size;
    char *base = reserve(size);
    if (base == nullptr) {
        return MAP_FAILED;
    }
    const auto offset_of_member = static_cast<off_t>(start);
    if (map_file(base + start, size - start, protection, flags | MAP_FIXED, descriptor, offset_of_member) ==
        MAP_FAILED) {
        const int reason = errno;
        munmap(base, size);
        errno = reason;
        return MAP_FAILED;
    }
    return remember(base, size, start);
}

bool can_be_mapped(const std::string &name) {
    std::FILE *file = ggml_fopen(name.c_str(), "rb");
    if (file == nullptr) {
        return true; // opening it for reading reports the reason
    }
    bool mapped = true;
    if (member_fseek(file, 0, SEEK_END) == 0 && ftello(file) > 0) {
        const auto size = static_cast<size_t>(ftello(file));
        void *address = member_mmap(nullptr, size, PROT_READ, MAP_SHARED, fileno(file), 0);
        mapped = address != MAP_FAILED && munmap(address, size) == 0;
    }
    std::fclose(file);
    return mapped;
}

namespace {

struct Range {
    uintptr_t start;
    uintptr_t end; // not above start if the range is empty
};

// The mapped part of a range: all of it, unless it is in a reservation.
Range mapped_part(const void *address, size_t size) {
    Range range = {reinterpret_cast<uintptr_t>(address), reinterpret_cast<uintptr_t>(address) + size};
    const std::lock_guard<std::mutex> lock(table_mutex);
    auto after = reservations().upper_bound(range.start);
    if (after != reservations().begin()) {
        const Reservation &reservation = std::prev(after)->second;
        if (range.start < reservation.mapped_end) {
            range.start = std::max(range.start, reservation.mapped_start);
            range.end = std::min(range.end, reservation.mapped_end);
        }
    }
    return range;
}

} // namespace

int member_madvise(void *address, size_t size, int advice) {
    const Range range = mapped_part(address, size);
    return range.start < range.end
               ? posix_madvise(reinterpret_cast<void *>(range.start), range.end - range.start, advice)
               : 0;
}

int member_mlock(const void *address, size_t size) {
    const Range range = mapped_part(address, size);
    return range.start < range.end ? mlock(reinterpret_cast<void *>(range.start), range.end - range.start) : 0;
}

int member_munlock(const void *address, size_t size) {
    const Range range = mapped_part(address, size);
    return range.start < range.end ? munlock(reinterpret_cast<void *>(range.start), range.end - range.start) : 0;
}
