#include "base/private_files.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

constexpr mode_t OWNER_FOLDER = 0700;
constexpr mode_t OWNER_FILE = 0600;
constexpr mode_t OF_OTHERS = 0077;

// Asked before the sandbox, which refuses the question.
uid_t own_user() {
    static const uid_t user = geteuid();
    return user;
}

} // namespace

std::string make_private_folder(const std::string &folder) {
    for (size_t slash = folder.find('/', 1); slash != std::string::npos; slash = folder.find('/', slash + 1)) {
        mkdir(folder.substr(0, slash).c_str(), OWNER_FOLDER);
    }
    mkdir(folder.c_str(), OWNER_FOLDER);
    struct stat status = {};
    if (lstat(folder.c_str(), &status) != 0) {
        return std::strerror(errno);
    }
    if (!S_ISDIR(status.st_mode)) {
        return "it is not a folder";
    }
    if (status.st_uid != own_user()) {
        return "it belongs to another user";
    }
    return (status.st_mode & OF_OTHERS) != 0 ? "other users may use it; its mode must be 700" : "";
}

File open_private_file(const std::string &path) {
    const int descriptor = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        return nullptr;
    }
    struct stat status = {};
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != own_user()) {
        close(descriptor);
        return nullptr;
    }
    return File(fdopen(descriptor, "rb"));
}

File create_private_file(const std::string &path) {
    const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, OWNER_FILE);
    return descriptor < 0 ? nullptr : File(fdopen(descriptor, "wb"));
}

void mark_as_used(const std::string &path) {
    utimensat(AT_FDCWD, path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
}
