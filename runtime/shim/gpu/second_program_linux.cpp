#ifndef LLAMAFILE_VULKAN

#include "gpu/second_program_linux.h"

#include "archive/own_container.h"
#include "base/environment.h"
#include "base/own_file.h"
#include "gpu/inflate.h"

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

namespace {

#if defined(__x86_64__)
constexpr const char MEMBER[] = "gpu/linux-amd64.zst";
constexpr const char LINKER[] = "/lib64/ld-linux-x86-64.so.2";
#else
constexpr const char MEMBER[] = "gpu/linux-arm64.zst";
constexpr const char LINKER[] = "/lib/ld-linux-aarch64.so.1";
#endif

constexpr const char NAME[] = "llamafile-gpu";
constexpr unsigned EXECUTABLE = 0x10; // MFD_EXEC, since Linux 6.3: a system may refuse others

int memory_file() {
    for (const unsigned flags : {MFD_CLOEXEC | EXECUTABLE, unsigned{MFD_CLOEXEC}}) {
        const auto file = static_cast<int>(syscall(SYS_memfd_create, NAME, flags));
        if (file >= 0) {
            return file;
        }
    }
    return -1;
}

// A file without a name, which ends with its last descriptor.
int nameless_file(const std::string &folder) {
    return folder.empty() ? -1 : open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0700);
}

std::string path_of(int descriptor) {
    return "/proc/self/fd/" + std::to_string(descriptor);
}

// Nothing can be executed that is open for writing: returns a descriptor of the same file for reading, or -1.
int filled(int file, const CompressedMember &member) {
    if (file < 0) {
        return -1;
    }
    int reopened = -1;
    const auto size = static_cast<off_t>(member.size);
    // Writing to a page for which the disk has no room ends the program. Some file systems reserve nothing. What
    // posix_fallocate() of zig's libc returns then is not ENOSPC.
    if (ftruncate(file, size) == 0 && (fallocate(file, 0, 0, size) == 0 || errno != ENOSPC)) {
        void *const content = mmap(nullptr, member.size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (content != MAP_FAILED) {
            inflate(member, content);
            munmap(content, member.size);
            reopened = open(path_of(file).c_str(), O_RDONLY | O_CLOEXEC);
        }
    }
    close(file);
    return reopened;
}

// The path of the container by which another program finds it.
std::string container_path() {
    const std::string path = display_name(program_container()->location());
    char resolved[PATH_MAX];
    return realpath(path.c_str(), resolved) == nullptr ? path : resolved;
}

} // namespace

bool has_second_program() {
    return program_container()->find_member(std::string("/zip/") + MEMBER) != nullptr;
}

SecondProgram::~SecondProgram() {
    if (descriptor >= 0) {
        close(descriptor);
    }
}

ProbeResult SecondProgram::probe() {
    ProbeResult result;
    if (access(LINKER, F_OK) != 0) {
        result.obstacle = std::string("this system has no ") + LINKER + ", the linker of glibc, which drivers need";
        return result;
    }
    const std::optional<CompressedMember> member = read_compressed(MEMBER);
    if (!member) {
        result.obstacle = "it was made without a part for GPUs";
        return result;
    }
    const std::vector<std::string> folders = {variable("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm", variable("HOME")};
    descriptor = filled(memory_file(), *member);
    for (auto folder = folders.begin();; ++folder) {
        if (descriptor >= 0) {
            result = probe_with(path_of(descriptor));
            if (!result.is_refused) {
                return result;
            }
            close(descriptor);
        }
        if (folder == folders.end()) {
            descriptor = -1;
            result.obstacle = "neither memory nor a folder for temporary files allows programs";
            return result;
        }
        descriptor = filled(nameless_file(*folder), *member);
    }
}

std::string SecondProgram::take_over(const std::string &argument0, const Arguments &arguments) const {
    Arguments words = {argument0};
    words.insert(words.end(), arguments.begin(), arguments.end());
    set_variable(LAUNCHER_VARIABLE, container_path());
    set_variable(PROBE_VARIABLE, PROBED);
    std::fflush(nullptr);
    execv(path_of(descriptor).c_str(), pointers_to(words).data());
    const std::string reason = std::string("the program for GPUs cannot be started: ") + std::strerror(errno);
    remove_variable(LAUNCHER_VARIABLE);
    remove_variable(PROBE_VARIABLE);
    return reason;
}

#endif
