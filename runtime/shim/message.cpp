#include "message.h"

#include <cstdio>

void complain(const std::string &sentence) {
    std::fprintf(stderr, "llamafile: %s\n", sentence.c_str());
}
