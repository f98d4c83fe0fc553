#include "prompts/place.h"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

constexpr mode_t OWNER_FILE = 0600;
constexpr mode_t OF_OTHERS = 0077;
constexpr size_t PIECE = size_t{1} << 30; // a system call transfers at most 2 GiB

int descriptor(std::intptr_t handle) {
    return static_cast<int>(handle);
}

bool is_private_file(int file) {
    struct stat status = {};
    return fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
           (status.st_mode & OF_OTHERS) == 0;
}

bool set_lock(int file, short kind) {
    struct flock lock = {};
    lock.l_type = kind;
    lock.l_whence = SEEK_SET;
    return fcntl(file, F_SETLK, &lock) == 0;
}

} // namespace

std::optional<Place> Place::open(const std::string &path, bool for_children) {
    const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | (for_children ? 0 : O_CLOEXEC);
    const int file = ::open(path.c_str(), flags, OWNER_FILE);
    if (file >= 0 && !is_private_file(file)) {
        close(file);
        return std::nullopt;
    }
    return file < 0 ? std::nullopt : std::optional(Place(file));
}

std::optional<Place> Place::inherited(int number) {
    const int flags = fcntl(number, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) != O_RDWR || !is_private_file(number)) {
        return std::nullopt;
    }
    return Place(number);
}

int Place::number() const {
    return descriptor(handle);
}

std::optional<Place::Status> Place::status() const {
    struct stat status = {};
    if (fstat(descriptor(handle), &status) != 0) {
        return std::nullopt;
    }
#ifdef __APPLE__
    const timespec changed = status.st_mtimespec;
#else
    const timespec changed = status.st_mtim;
#endif
    return Status{static_cast<uint64_t>(status.st_size), int64_t{changed.tv_sec} * 1000000000 + changed.tv_nsec};
}

bool Place::lock(bool exclusively) const {
    return set_lock(descriptor(handle), exclusively ? F_WRLCK : F_RDLCK);
}

void Place::unlock() const {
    set_lock(descriptor(handle), F_UNLCK);
}

bool Place::clear() const {
    return ftruncate(descriptor(handle), 0) == 0;
}

bool Place::read(uint64_t offset, void *bytes, size_t size) const {
    auto *at = static_cast<char *>(bytes);
    while (size > 0) {
        const ssize_t done = pread(descriptor(handle), at, std::min(size, PIECE), static_cast<off_t>(offset));
        if (done <= 0) {
            return false;
        }
        at += done;
        offset += static_cast<uint64_t>(done);
        size -= static_cast<size_t>(done);
    }
    return true;
}

bool Place::write(uint64_t offset, const void *bytes, size_t size) const {
    const auto *at = static_cast<const char *>(bytes);
    while (size > 0) {
        const ssize_t done = pwrite(descriptor(handle), at, std::min(size, PIECE), static_cast<off_t>(offset));
        if (done <= 0) {
            return false;
        }
        at += done;
        offset += static_cast<uint64_t>(done);
        size -= static_cast<size_t>(done);
    }
    return true;
}
