// Descriptors that ggml_fopen() opened on members of archives (member_file.cpp).

#pragma once

#include "archive/container.h"

// False if DESCRIPTOR is a file of its own; else EXTENT is where the member lies in its file.
bool member_of(int descriptor, MemberExtent &extent);
