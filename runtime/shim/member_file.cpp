// The engine's way to its model files: `ggml_fopen` finds a name on disk or in the container, and the functions that
// recipe/member_file.h puts under llama-mmap.cpp and gguf.cpp make a member look like a file that ends where it ends.
//
// The engine addresses tensors by their offset from the start of the file, and so do we: nothing is copied.

#include "member_file.h"
#include "container.h"
#include "message.h"

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

std::FILE *open_member(const zip::Member &member) {
    MemberExtent extent{};
    std::string problem;
    if (!Container::instance().mappable_extent_of(member, extent, problem)) {
        complain(problem);
        errno = EINVAL;
        return nullptr;
    }
    std::FILE *file = Container::instance().open();
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

// Disk first, then the container: a file the user can see wins over one that he cannot.
std::FILE *ggml_fopen(const char *path, const char *mode) {
    errno = ENOENT;
    std::FILE *file = Container::is_member_path(path) ? nullptr : ggml_fopen_os(path, mode);
    if (file != nullptr) {
        const std::lock_guard<std::mutex> lock(table_mutex);
        open_members().erase(descriptor_of(file));
        return file;
    }
    const int reason = errno;
    const zip::Member *member = reason == ENOENT && mode[0] == 'r' ? Container::instance().find_member(path) : nullptr;
    if (member == nullptr) {
        errno = reason;
        return nullptr;
    }
    return open_member(*member);
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

// Grows by one for each model file that is loaded, and is never asked about an address that was unmapped.
std::map<uintptr_t, Reservation> &reservations() {
    static std::map<uintptr_t, Reservation> table;
    return table;
}

} // namespace

void *member_mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset) {
    MemberExtent extent;
    if (address != nullptr || offset != 0 || !member_of(descriptor, extent) || size > extent.end) {
        return mmap(address, size, protection, flags, descriptor, offset);
    }
    const auto page_size = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    const uint64_t start = extent.offset / page_size * page_size;
    int reserve_flags = MAP_PRIVATE | MAP_ANON;
#ifdef MAP_NORESERVE
    reserve_flags |= MAP_NORESERVE;
#endif
    void *reserved = mmap(nullptr, size, PROT_NONE, reserve_flags, -1, 0);
    if (reserved == MAP_FAILED) {
        return MAP_FAILED;
    }
    char *base = static_cast<char *>(reserved);
    if (mmap(base + start, size - start, protection, flags | MAP_FIXED, descriptor, static_cast<off_t>(start)) ==
        MAP_FAILED) {
        const int reason = errno;
        munmap(reserved, size);
        errno = reason;
        return MAP_FAILED;
    }
    const auto number = reinterpret_cast<uintptr_t>(base);
    const std::lock_guard<std::mutex> lock(table_mutex);
    reservations()[number] = {number, number + start, number + size};
    return reserved;
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
