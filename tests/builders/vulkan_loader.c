// A Vulkan loader that fails, in the way that its only parameter, the macro FAILURE, names. It is called libvulkan.so.1
// and found by LD_LIBRARY_PATH. DEVICE_LOST passes all calls on to the loader of the system, and fails late.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define CRASH 1
#define HANG 2
#define NO_FUNCTIONS 3
#define DEVICE_LOST 4

typedef void (*Function)(void);
typedef Function (*Get)(void *, const char *);
typedef int (*Submit)(void *, unsigned, const void *, void *);

static Get real_instance_get;
static Get real_device_get;
static Submit real_submit;

#define LOST (-4) // VK_ERROR_DEVICE_LOST
#define SUBMISSIONS 40

static int submit(void *queue, unsigned count, const void *submissions, void *fence) {
    static atomic_int done;
    return ++done > SUBMISSIONS ? LOST : real_submit(queue, count, submissions, fence);
}

static Function replaced(Function found, const char *name) {
    if (found != NULL && strcmp(name, "vkQueueSubmit") == 0) {
        real_submit = (Submit)found;
        return (Function)submit;
    }
    return found;
}

static Function device_get(void *device, const char *name) {
    return replaced(real_device_get(device, name), name);
}

static Function passed_on(void *instance, const char *name) {
    if (real_instance_get == NULL) {
        void *library = dlopen(REAL_LOADER, RTLD_NOW);
        real_instance_get = library == NULL ? NULL : (Get)dlsym(library, "vkGetInstanceProcAddr");
    }
    Function found = real_instance_get == NULL ? NULL : real_instance_get(instance, name);
    if (found != NULL && strcmp(name, "vkGetDeviceProcAddr") == 0) {
        real_device_get = (Get)found;
        return (Function)device_get;
    }
    return replaced(found, name);
}

__attribute__((visibility("default"))) Function vkGetInstanceProcAddr(void *instance, const char *name) {
    switch (FAILURE) {
    case CRASH:
        raise(SIGSEGV);
        return NULL;
    case HANG:
        pause();
        return NULL;
    case DEVICE_LOST:
        return passed_on(instance, name);
    default:
        return NULL;
    }
}
