/* The few Linux system calls the loader makes, and the kernel's constants for them.
   A failed call returns -errno, as in the kernel; there is no errno variable. */
#ifndef APE_LINUX_H
#define APE_LINUX_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#include "linux-x86_64.h"
#elif defined(__aarch64__)
#include "linux-aarch64.h"
#else
#error "the loader knows x86_64 and aarch64"
#endif

#define AT_FDCWD (-100)
#define O_RDONLY 0
#define O_CLOEXEC 02000000
#define SEEK_END 2
#define X_OK 1

#define PROT_NONE 0
#define PROT_READ 1
#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_PRIVATE 0x02
#define MAP_FIXED 0x10
#define MAP_ANONYMOUS 0x20
#define MAP_NORESERVE 0x4000
#define MAP_FIXED_NOREPLACE 0x100000

#define PR_SET_NAME 15

#define EPERM 1
#define ENOENT 2
#define EIO 5
#define ENOMEM 12
#define EACCES 13
#define EEXIST 17
#define ENOTDIR 20
#define EISDIR 21
#define EINVAL 22
#define EMFILE 24
#define ELOOP 40

#define AT_NULL 0
#define AT_PHDR 3
#define AT_PHENT 4
#define AT_PHNUM 5
#define AT_PAGESZ 6
#define AT_BASE 7
#define AT_FLAGS 8
#define AT_ENTRY 9
#define AT_EXECFN 31
#define AT_FLAGS_PRESERVE_ARGV0 1

static inline int sys_open(const char *path) {
    return (int)syscall6(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
}

static inline void sys_close(int fd) {
    syscall6(SYS_close, fd, 0, 0, 0, 0, 0);
}

static inline long sys_size(int fd) {
    return syscall6(SYS_lseek, fd, 0, SEEK_END, 0, 0, 0);
}

static inline long sys_pread(int fd, void *data, size_t size, uint64_t offset) {
    return syscall6(SYS_pread64, fd, (long)data, (long)size, (long)offset, 0, 0);
}

static inline long sys_write(int fd, const void *data, size_t size) {
    return syscall6(SYS_write, fd, (long)data, (long)size, 0, 0, 0);
}

static inline long sys_access(const char *path, int mode) {
    return syscall6(SYS_faccessat, AT_FDCWD, (long)path, mode, 0, 0, 0);
}

static inline long sys_mmap(uint64_t address, uint64_t size, int prot, int flags, int fd, uint64_t offset) {
    return syscall6(SYS_mmap, (long)address, (long)size, prot, flags, fd, (long)offset);
}

static inline long sys_mprotect(uint64_t address, uint64_t size, int prot) {
    return syscall6(SYS_mprotect, (long)address, (long)size, prot, 0, 0, 0);
}

static inline void sys_munmap(uint64_t address, uint64_t size) {
    syscall6(SYS_munmap, (long)address, (long)size, 0, 0, 0, 0);
}

static inline void sys_set_name(const char *name) {
    syscall6(SYS_prctl, PR_SET_NAME, (long)name, 0, 0, 0, 0);
}

static inline _Noreturn void sys_exit(int status) {
    for (;;) {
        syscall6(SYS_exit_group, status, 0, 0, 0, 0, 0);
    }
}

#endif
