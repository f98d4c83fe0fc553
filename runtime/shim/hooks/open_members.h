// The descriptors that ggml_fopen() opened on members of archives (member_file.cpp).

#pragma once

#include "archive/container.h"

#include <map>
#include <optional>

// The place of the member in its file; nothing if DESCRIPTOR is open on an ordinary file.
std::optional<MemberExtent> member_of(int descriptor);

// A copy of the table, by descriptor.
std::map<int, MemberExtent> open_members();
