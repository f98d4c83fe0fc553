// A file with an archive at its end: the one that contains this program, or another one that the user names.

#pragma once

#include "archive/zip.h"
#include "base/file.h"

#include <memory>
#include <optional>
#include <string>

// The bytes of a stored member, as offsets in the container.
struct MemberExtent {
    uint64_t offset;
    uint64_t end;
};

class Container {
  public:
    // The member with the arguments that precede those of the command line.
    static constexpr const char DEFAULT_ARGUMENTS[] = ".args";

    // A container without file or members.
    Container() = default;

    // The file LOCATION, which messages call NAME; nothing if it cannot be opened.
    static std::optional<Container> open_at(const std::string &location, const std::string &name);

    // The same as a shared value; without file or members if PATH cannot be opened.
    static std::shared_ptr<const Container> at(const std::string &path);

    bool has_archive() const { return archive && archive->damage.empty(); }
    bool is_damaged() const { return archive && !archive->damage.empty(); }
    const std::string &name() const { return shown; }        // for messages
    const std::string &location() const { return own_path; } // for opening
    const std::vector<zip::Member> &members() const;

    // True of `/zip/NAME`, which never names a file on disk.
    static bool is_member_path(const std::string &path);

    // Null if the container has no such member. `/zip/NAME`, `./NAME` and `NAME` are the same member.
    const zip::Member *find_member(const std::string &path) const;

    // The bytes of MEMBER. Throws UserError if it is compressed, encrypted or damaged.
    MemberExtent extent_of(const zip::Member &member) const;

    // The bytes of weights. Throws UserError also if they are not aligned for the engine, which uses them in place.
    MemberExtent mappable_extent_of(const zip::Member &member) const;

    // The content of a text member of at most 16 MiB. Throws UserError.
    std::string read_text(const zip::Member &member) const;

    // The bytes of MEMBER in FILE, which open() returned: compressed, if the member is. Throws UserError.
    std::string read_bytes(std::FILE *file, const zip::Member &member) const;

    // Why there is no readable archive, as a sentence.
    std::string missing_archive_message() const;

    // Null, with errno set, if the file cannot be opened.
    File open() const;

  private:
    uint64_t locate(std::FILE *file, const zip::Member &member) const;

    std::string own_path;
    std::string shown;
    std::optional<zip::Archive> archive;
};
