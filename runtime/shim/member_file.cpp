// The engine's way to its model files: `ggml_fopen` finds a name on disk or in the container, and the functions that
// recipe/member_file.h puts under llama-mmap.cpp and gguf.cpp make a member look like a file that ends where it ends.
//
// The engine addresses tensors by their offset from the start of the file, and so do we: nothing is copied.

#include "member_file.h"
#include "hooks.h"
#include "mapping.h"
#include "message.h"
#include "page_fault.h"
#include "reference.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <map>
#include <mutex>

// The names below are the real functions here.
#undef mlock
#undef mmap
#undef munlock
#undef fseeko
#undef posix_fadvise
#undef posix_madvise
#undef _fseeki64
#undef SetFilePointerEx

#ifdef _WIN32
#include <io.h>
#else
#include <unistd.h>
#endif

extern "C" {
std::FILE *ggml_fopen_os(const char *path, const char *mode);
std::FILE *ggml_fopen(const char *path, const char *mode);
}

namespace {

std::mutex table_mutex;

// Descriptors that are open on a member. A descriptor leaves the table when its number is opened for something else;
// until then it can only be a closed one that nobody asks about.
std::map<int, MemberExtent> &open_members() {
    static std::map<int, MemberExtent> table;
    return table;
}

bool member_of(int descriptor, MemberExtent &extent) {
    const std::lock_guard<std::mutex> lock(table_mutex);
    const auto found = open_members().find(descriptor);
    if (found == open_members().end()) {
        return false;
    }
    extent = found->second;
    return true;
}

int descriptor_of(std::FILE *file) {
#ifdef _WIN32
    return _fileno(file);
#else
    return fileno(file);
#endif
}

std::FILE *open_member(const MemberReference &reference) {
    MemberExtent extent{};
    std::string problem;
    if (!reference.container->mappable_extent_of(*reference.member, extent, problem)) {
        complain(problem);
        errno = EINVAL;
        return nullptr;
    }
    std::FILE *file = reference.container->open();
    if (file != nullptr && !zip::seek(file, extent.offset)) {
        std::fclose(file);
        return nullptr;
    }
    if (file != nullptr) {
        const std::lock_guard<std::mutex> lock(table_mutex);
        open_members()[descriptor_of(file)] = extent;
    }
    return file;
}

} // namespace

// Disk first, then archives: a file the user can see wins over one that he cannot.
std::FILE *ggml_fopen(const char *path, const char *mode) {
    if (std::FILE *file = open_on_disk(path, mode)) {
        const std::lock_guard<std::mutex> lock(table_mutex);
        open_members().erase(descriptor_of(file));
        return file;
    }
    const int reason = errno;
    const MemberReference reference = reason == ENOENT && mode[0] == 'r' ? member_named(path) : MemberReference{};
    if (!reference) {
        errno = reason;
        return nullptr;
    }
    return open_member(reference);
}

std::string llamafile_disk_file(const std::string &name) {
    const MemberReference reference = is_on_disk(name) ? MemberReference{} : member_named(name);
    return reference ? reference.container->location() : name;
}

#ifdef _WIN32

int member_fseek(std::FILE *file, long long offset, int whence) {
    MemberExtent extent;
    if (whence == SEEK_END && member_of(descriptor_of(file), extent)) {
        return _fseeki64(file, static_cast<long long>(extent.end) + offset, SEEK_SET);
    }
    return _fseeki64(file, offset, whence);
}

BOOL member_set_file_pointer(HANDLE file, LARGE_INTEGER distance, LARGE_INTEGER *position, DWORD method) {
    if (method == FILE_END) {
        const std::lock_guard<std::mutex> lock(table_mutex);
        for (const auto &[descriptor, extent] : open_members()) {
            if (reinterpret_cast<HANDLE>(_get_osfhandle(descriptor)) == file) {
                distance.QuadPart += static_cast<LONGLONG>(extent.end);
                method = FILE_BEGIN;
                break;
            }
        }
    }
    return SetFilePointerEx(file, distance, position, method);
}

bool can_be_mapped(const std::string &) {
    return true; // every file system of Windows maps files
}

#else

int member_fseek(std::FILE *file, off_t offset, int whence) {
    MemberExtent extent;
    if (whence == SEEK_END && member_of(descriptor_of(file), extent)) {
        return fseeko(file, static_cast<off_t>(extent.end) + offset, SEEK_SET);
    }
    return fseeko(file, offset, whence);
}

namespace {

// Reservations for members: all of [0, size) of the file has addresses, only the member has memory behind them.
struct Reservation {
    uintptr_t address;
    uintptr_t mapped_start;
    uintptr_t mapped_end;
};

std::map<uintptr_t, Reservation> &reservations() {
    static std::map<uintptr_t, Reservation> table;
    return table;
}

// Linux maps 2 MiB of a file at once if their addresses begin where that much begins in the file, and chooses addresses
// so; where a file's addresses are chosen here, that is done here. Weights are read up to a tenth faster.
constexpr uintptr_t LARGE_PAGE_SIZE = uintptr_t{2} << 20;

// SIZE bytes of addresses for a file, nothing behind them; nullptr and errno if there are none.
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
    if (address + size + LARGE_PAGE_SIZE > end) {
        munmap(reinterpret_cast<void *>(end), address + size + LARGE_PAGE_SIZE - end);
    }
    return reinterpret_cast<char *>(base);
}

// What is mapped at an address now takes the place of any reservation that was unmapped there.
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
    MemberExtent extent;
    explain_page_faults();
    if (address != nullptr || offset != 0 || !member_of(descriptor, extent) || size > extent.end) {
        void *mapped = mmap(address, size, protection, flags, descriptor, offset);
        return mapped == MAP_FAILED ? mapped : remember(mapped, size, 0);
    }
    const auto page_size = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    const uint64_t start = extent.offset / page_size * page_size;
    char *base = reserve(size);
    if (base == nullptr) {
        return MAP_FAILED;
    }
    if (mmap(base + start, size - start, protection, flags | MAP_FIXED, descriptor, static_cast<off_t>(start)) ==
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
        return true; // whoever opens it next says why it cannot be
    }
    bool mapped = true;
    if (member_fseek(file, 0, SEEK_END) == 0 && ftello(file) > 0) {
        const auto size = static_cast<size_t>(ftello(file));
        void *address = member_mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor_of(file), 0);
        mapped = address != MAP_FAILED && munmap(address, size) == 0;
    }
    std::fclose(file);
    return mapped;
}

int member_fadvise(int descriptor, off_t offset, off_t size, int advice) {
#ifdef POSIX_FADV_SEQUENTIAL
    MemberExtent extent;
    if (offset == 0 && size == 0 && member_of(descriptor, extent)) {
        offset = static_cast<off_t>(extent.offset);
        size = static_cast<off_t>(extent.end - extent.offset);
    }
    return posix_fadvise(descriptor, offset, size, advice);
#else
    (void)descriptor, (void)offset, (void)size, (void)advice;
    return 0;
#endif
}

namespace {

struct Range {
    uintptr_t start;
    uintptr_t end; // not above start where nothing is left
};

// What of a range has memory behind it: all of it, unless it lies in a reservation.
Range backed(const void *address, size_t size) {
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
    const Range range = backed(address, size);
    return range.start < range.end
               ? posix_madvise(reinterpret_cast<void *>(range.start), range.end - range.start, advice)
               : 0;
}

int member_mlock(const void *address, size_t size) {
    const Range range = backed(address, size);
    return range.start < range.end ? mlock(reinterpret_cast<void *>(range.start), range.end - range.start) : 0;
}

int member_munlock(const void *address, size_t size) {
    const Range range = backed(address, size);
    return range.start < range.end ? munlock(reinterpret_cast<void *>(range.start), range.end - range.start) : 0;
}

#endif
