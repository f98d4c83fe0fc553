// Refuses processors that this program is not compiled for, in a sentence instead of by an illegal instruction.
//
// The linker is told to make llamafile_entry the first instruction (runtime/builder/build.py): libc, which sets the
// stage for constructors, is compiled for the same processors as everything else.

#if defined(__x86_64__) && !defined(__APPLE__) // every Mac that our programs ask for has what they need

#include <cpuid.h>

#ifdef _WIN32
#include <windows.h>
#else
#include <unistd.h>
#endif

// What runs before the check, or after it says no, is compiled for any x86-64.
#define ANY_X86_64 __attribute__((target("no-sse3,no-ssse3")))

namespace {

constexpr const char REFUSAL[] = "llamafile: this processor has no SSSE3, which Intel's have had since 2006 and AMD's "
                                 "since 2011; it cannot run this program\n";

} // namespace

#ifdef _WIN32

extern "C" int mainCRTStartup();

extern "C" ANY_X86_64 int llamafile_entry() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_SSE3) == 0 || (c & bit_SSSE3) == 0) {
        DWORD written = 0;
        WriteFile(GetStdHandle(STD_ERROR_HANDLE), REFUSAL, sizeof REFUSAL - 1, &written, nullptr);
        ExitProcess(1);
    }
    return mainCRTStartup();
}

#else

extern "C" [[noreturn]] ANY_X86_64 void llamafile_refuse() {
#ifdef __linux__
    // libc's own write() looks at the thread's data, which is not there yet.
    long result = 1, number = 60;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(long{STDERR_FILENO}), "S"(REFUSAL), "d"(sizeof REFUSAL - 1)
                     : "rcx", "r11", "memory");
    __asm__ volatile("syscall" : : "a"(number), "D"(1L) : "rcx", "r11", "memory");
    __builtin_unreachable();
#else
    // libc was made ready by the dynamic linker; OpenBSD lets nobody else call the system.
    if (write(STDERR_FILENO, REFUSAL, sizeof REFUSAL - 1) < 0) {
        // there is nobody left to tell
    }
    _exit(1);
#endif
}

// The kernel hands over in rdx, rbx and on the stack, which the real entry must find as they were. 0x201 are the bits
// of SSE3 and SSSE3.
extern "C" __attribute__((naked)) void llamafile_entry() {
    __asm__("movq %rdx, %r8\n\t"
            "movq %rbx, %r9\n\t"
            "movl $1, %eax\n\t"
            "cpuid\n\t"
            "andl $0x201, %ecx\n\t"
            "cmpl $0x201, %ecx\n\t"
            "movq %r8, %rdx\n\t"
            "movq %r9, %rbx\n\t"
            "je _start\n\t"
            "andq $-16, %rsp\n\t"
            "call llamafile_refuse\n\t");
}

#endif

#endif
