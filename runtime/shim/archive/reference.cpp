#include "archive/reference.h"

#include "archive/own_container.h"
#include "archive/weights.h"
#include "base/file.h"

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

namespace {

constexpr char SEPARATOR = '@';

// The archives that NAME may refer to as ARCHIVE@MEMBER: the existing files among its prefixes, because both parts may
// contain the separator.
std::vector<std::string> archives_in(const std::string &name) {
    std::vector<std::string> archives;
    for (size_t at = Container::is_member_path(name) ? std::string::npos : name.find(SEPARATOR, 1); at < name.size();
         at = name.find(SEPARATOR, at + 1)) {
        std::string archive = name.substr(0, at);
        if (is_on_disk(archive)) {
            archives.push_back(std::move(archive));
        }
    }
    return archives;
}

} // namespace

File open_on_disk(const std::string &name, const char *mode) {
    errno = ENOENT;
    File file = Container::is_member_path(name) ? nullptr : open_file(name, mode);
    if (file == nullptr && errno == ENOTDIR) {
        errno = ENOENT; // `x.llamafile/NAME` is not a file either
    }
    return file;
}

bool is_on_disk(const std::string &name) {
    std::error_code ignored;
    return !Container::is_member_path(name) && std::filesystem::exists(system_path(name), ignored);
}

MemberReference member_named(const std::string &name) {
    const std::shared_ptr<const Container> own = own_container();
    if (const zip::Member *member = own->find_member(name)) {
        return {own, member};
    }
    for (const std::string &archive : archives_in(name)) {
        const std::shared_ptr<const Container> other = Container::at(archive);
        if (const zip::Member *member = other->find_member(name.substr(archive.size() + 1))) {
            return {other, member};
        }
    }
    return {};
}

std::string missing_file_message(const std::string &name) {
    const std::string missing = "there is no file '" + name + "'";
    std::shared_ptr<const Container> container = own_container();
    for (const std::string &archive : archives_in(name)) {
        const std::shared_ptr<const Container> other = Container::at(archive);
        if (other->has_archive() || other->is_damaged()) {
            container = other;
            break;
        }
    }
    if (!container->has_archive()) {
        return missing + "; " + container->missing_archive_message();
    }
    const std::string names = list_of_weights(*container);
    if (names.empty()) {
        return missing + ", and " + container->name() + " holds no weights";
    }
    return missing + ", and no such member in " + container->name() + " (it holds " + names + ")";
}
