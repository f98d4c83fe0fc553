// A file with an archive at its end: the one this program lives in, or another that a name refers to.

#pragma once

#include "archive/zip.h"

#include <memory>
#include <string>

// Where the bytes of a stored member are in the container.
struct MemberExtent {
    uint64_t offset;
    uint64_t end;
};

class Container {
  public:
    // The member with the arguments that come before those of the command line.
    static constexpr const char DEFAULT_ARGUMENTS[] = ".args";

    // The one that this program lives in. find() comes first.
    static Container &instance();

    // The file PATH as a container.
    static std::shared_ptr<const Container> at(const std::string &path);

    // Finds the program's own file: where the launcher says, else where the system says, else argv[0]. If that holds
    // neither weights nor arguments, a companion of it may (companion.h).
    void find(const char *argument0);

    bool has_archive() const { return reading == zip::Reading::OK; }
    // True if it carries a model or default arguments. A runtime alone is a program like others.
    bool is_packed() const;

    bool is_damaged() const { return reading == zip::Reading::DAMAGED; }
    const std::string &path() const { return name; }         // for messages
    const std::string &location() const { return own_path; } // to open
    const std::vector<zip::Member> &members() const { return archive.members; }

    // True of `/zip/NAME`, which is never looked for on disk.
    static bool is_member_path(const std::string &path);

    // Nothing if the container has no such member. `/zip/NAME`, `./NAME` and `NAME` are the same member.
    const zip::Member *find_member(const std::string &path) const;

    // Where MEMBER's bytes are; false with a sentence in PROBLEM if it is compressed, encrypted or damaged.
    bool extent_of(const zip::Member &member, MemberExtent &extent, std::string &problem) const;

    // The same for weights, which must also lie where the engine can use them in place.
    bool mappable_extent_of(const zip::Member &member, MemberExtent &extent, std::string &problem) const;

    // The whole of a small text member.
    bool read_text(const zip::Member &member, std::string &text, std::string &problem) const;

    // The bytes of MEMBER as they lie in FILE, which open() returned: compressed, where it is.
    bool read_bytes(std::FILE *file, const zip::Member &member, std::string &bytes, std::string &problem) const;

    // Why weights cannot be found here, as a sentence, when there is no readable archive.
    std::string absence() const;

    std::FILE *open() const;

  private:
    // False if there is no such file.
    bool read(const std::string &path, const std::string &shown);

    std::string own_path;
    std::string name;
    zip::Archive archive;
    zip::Reading reading = zip::Reading::ABSENT;
    std::string damage;
};
