#include <windows.h>

#include "hooks/hooks.h"

void llamafile_sleep_while(int *word, int value) {
    WaitOnAddress(word, &value, sizeof value, INFINITE);
}

void llamafile_wake(int *word) {
    WakeByAddressAll(word);
}
