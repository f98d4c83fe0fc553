// Force-included into the two files of the engine that measure and map model files, so that they see a model inside an
// archive as a file that ends at the end of the member. The functions for mapping are defined in
// member_mapping_posix.cpp, the others in member_file_posix.cpp and member_file_windows.cpp.

#ifndef LLAMAFILE_MEMBER_FILE_H
#define LLAMAFILE_MEMBER_FILE_H

// The system's own declarations come first: some of their names are macros from here on.
#include <fcntl.h>
#include <stdio.h>
#include <sys/types.h>
#ifdef _WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <sys/mman.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifdef _WIN32

#define _fseeki64 member_fseek
#define SetFilePointerEx member_set_file_pointer

// _fseeki64 and SetFilePointerEx, with the end of the member as the end of the file.
int member_fseek(FILE *file, long long offset, int whence);
BOOL member_set_file_pointer(HANDLE file, LARGE_INTEGER distance, LARGE_INTEGER *position, DWORD method);

#else

#define fseeko member_fseek
#define mlock member_mlock
#define mmap member_mmap
#define munlock member_munlock
#define posix_fadvise member_fadvise
#define posix_madvise member_madvise

// fseeko, with SEEK_END relative to the end of the member.
int member_fseek(FILE *file, off_t offset, int whence);

// mmap from offset 0 of a member's file: reserves the address range of the whole file, maps only the member in it.
void *member_mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset);

// posix_fadvise and posix_madvise, limited to the member.
int member_fadvise(int descriptor, off_t offset, off_t size, int advice);
int member_madvise(void *address, size_t size, int advice);

// mlock and munlock, limited to the member: the rest of the range is reserved address space.
int member_mlock(const void *address, size_t size);
int member_munlock(const void *address, size_t size);

#endif

#ifdef __cplusplus
}
#endif

#endif
