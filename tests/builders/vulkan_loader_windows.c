// vulkan-1.dll that fails, in the way that its only parameter, the macro FAILURE, names, as vulkan_loader.c does.

#include <windows.h>

#define CRASH 1
#define HANG 2

__declspec(dllexport) void *vkGetInstanceProcAddr(void *instance, const char *name) {
    (void)instance;
    (void)name;
    if (FAILURE == CRASH) {
        RaiseException(STATUS_ACCESS_VIOLATION, EXCEPTION_NONCONTINUABLE, 0, NULL);
    }
    if (FAILURE == HANG) {
        Sleep(INFINITE);
    }
    return NULL;
}
