// What a name on the command line refers to: a file, or a member of an archive.
//
//   NAME             a file; if there is none, a member of the program's own container
//   /zip/NAME        a member of the program's own container, whatever lies on disk
//   ARCHIVE@MEMBER   a member of another archive, unless there is a file of that whole name

#pragma once

#include "archive/container.h"

#include <cstdio>
#include <memory>
#include <string>

struct MemberReference {
    std::shared_ptr<const Container> container;
    const zip::Member *member = nullptr;

    explicit operator bool() const { return member != nullptr; }
};

// The file NAME; nothing, with errno set, if it cannot be opened, which ENOENT says of every name that may be a member.
std::FILE *open_on_disk(const std::string &name, const char *mode = "rb");

// True if there is a file NAME. Unlike opening it, this takes nothing from a pipe.
bool is_on_disk(const std::string &name);

// What a NAME that is no file refers to.
MemberReference member_named(const std::string &name);

// Why NAME refers to nothing, as a sentence.
std::string absence_of(const std::string &name);
