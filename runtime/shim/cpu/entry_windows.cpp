#include "cpu/entry.h"

#include <cpuid.h>
#include <windows.h>

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
