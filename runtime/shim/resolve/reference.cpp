#include "resolve/reference.h"

#include "resolve/weights.h"

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

extern "C" std::FILE *ggml_fopen_os(const char *path, const char *mode); // ggml.c's own, which knows Windows' names

namespace {

constexpr char SEPARATOR = '@';

// What may be the archive where NAME is ARCHIVE@MEMBER: what ends before a separator and exists, as both parts may have
// the separator in them.
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

std::shared_ptr<const Container> own_container() {
    return {std::shared_ptr<const Container>(), &Container::instance()};
}

} // namespace

std::FILE *open_on_disk(const std::string &name, const char *mode) {
    errno = ENOENT;
    std::FILE *file = Container::is_member_path(name) ? nullptr : ggml_fopen_os(name.c_str(), mode);
    if (file == nullptr && errno == ENOTDIR) {
        errno = ENOENT; // `x.llamafile/NAME` is no file either
    }
    return file;
}

bool is_on_disk(const std::string &name) {
    std::error_code ignored;
    return !Container::is_member_path(name) && std::filesystem::exists(std::filesystem::u8path(name), ignored);
}

MemberReference member_named(const std::string &name) {
    if (const zip::Member *member = Container::instance().find_member(name)) {
        return {own_container(), member};
    }
    for (const std::string &archive : archives_in(name)) {
        const std::shared_ptr<const Container> other = Container::at(archive);
        if (const zip::Member *member = other->find_member(name.substr(archive.size() + 1))) {
            return {other, member};
        }
    }
    return {};
}

std::string absence_of(const std::string &name) {
    const std::string problem = "there is no file '" + name + "'";
    auto container = own_container();
    for (const std::string &archive : archives_in(name)) {
        const auto other = Container::at(archive);
        if (other->has_archive() || other->is_damaged()) {
            container = other;
            break;
        }
    }
    if (!container->has_archive()) {
        return problem + "; " + container->absence();
    }
    const std::string names = list_of_weights(*container);
    if (names.empty()) {
        return problem + ", and " + container->path() + " holds no weights";
    }
    return problem + ", and no such member in " + container->path() + " (it holds " + names + ")";
}
