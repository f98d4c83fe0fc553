/* The smallest program that does something, for what starting it costs. */
#include <stdio.h>

int main(void) {
    puts("hello, world");
    return 0;
}
