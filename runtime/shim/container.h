// The file this program lives in, and the archive at that file's end.

#pragma once

#include "zip.h"

#include <string>

// Where the bytes of a stored member are in the container.
struct MemberExtent {
    uint64_t offset;
    uint64_t end;
};

class Container {
  public:
    // The one container of this process. find() comes first.
    static Container &instance();

    // Finds the program's own file: where the launcher says, else where the system says, else argv[0].
    void find(const char *argument0);

    bool has_archive() const { return reading == zip::Reading::OK; }
    const std::string &path() const { return name; } // for messages
    const std::vector<zip::Member> &members() const { return archive.members; }

    // True of `/zip/NAME`, which is never looked for on disk.
    static bool is_member_path(const std::string &path);

    // Nothing if the container has no such member. `/zip/NAME` and `NAME` are the same member.
    const zip::Member *find_member(const std::string &path) const;

    // Where MEMBER's bytes are; false with a sentence in PROBLEM if it is compressed or damaged.
    bool extent_of(const zip::Member &member, MemberExtent &extent, std::string &problem) const;

    // The same for weights, which must also lie where the engine can use them in place.
    bool mappable_extent_of(const zip::Member &member, MemberExtent &extent, std::string &problem) const;

    // The whole of a small text member.
    bool read_text(const zip::Member &member, std::string &text, std::string &problem) const;

    // Why weights cannot be found here, as a sentence, when there is no readable archive.
    std::string absence() const;

    std::FILE *open() const;

  private:
    std::string own_path; // to open
    std::string name;     // to show
    zip::Archive archive;
    zip::Reading reading = zip::Reading::ABSENT;
    std::string damage;
};
