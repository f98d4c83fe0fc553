// The meaning of a name on the command line: a file, or a member of an archive.
//
//   NAME             a file; if there is none, a member of the program's own container
//   /zip/NAME        a member of the program's own container, never a file
//   ARCHIVE@MEMBER   a member of another archive, unless there is a file of this whole name

#pragma once

#include "archive/container.h"

#include <memory>
#include <string>

struct MemberReference {
    std::shared_ptr<const Container> container;
    const zip::Member *member = nullptr;

    explicit operator bool() const { return member != nullptr; }
};

// The file NAME. Null, with errno set, if it cannot be opened; ENOENT for each name that may be a member.
File open_on_disk(const std::string &name, const char *mode = "rb");

// True if there is a file NAME. Reads nothing, which matters for a pipe.
bool is_on_disk(const std::string &name);

// The member that NAME, which is not a file, refers to.
MemberReference member_named(const std::string &name);

// Why NAME refers to nothing, as a sentence.
std::string missing_file_message(const std::string &name);
