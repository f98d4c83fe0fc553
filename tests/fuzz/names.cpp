// The shim's parsers on malicious input: an archive, its default arguments, and names of its members on a command line.
// For tests/fuzz/mutation.cpp, and for libFuzzer (clang++ -fsanitize=fuzzer).

#include "resolve/names.h"
#include "archive/own_container.h"
#include "archive/weights.h"
#include "base/arguments.h"
#include "base/csv.h"
#include "base/message.h"
#include "base/own_file.h"
#include "base/user_error.h"
#include "hooks/mapping.h"
#include "resolve/model.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

constexpr const char NAME[] = "current-input"; // remains after a failure

void demand(bool condition, const char *what) {
    if (!condition) {
        std::fprintf(stderr, "broken promise: %s\n", what);
        std::abort();
    }
}

// True if ACTION succeeds; a refusal has a reason, and no other exception occurs.
template <typename Action> bool succeeds(Action action) {
    try {
        action();
    } catch (const UserError &error) {
        demand(*error.what() != '\0', "a refusal has a reason");
        return false;
    }
    return true;
}

void read_members(const Container &container, size_t input_size) {
    for (const zip::Member &member : container.members()) {
        MemberExtent extent{};
        if (succeeds([&] { extent = container.mappable_extent_of(member); })) {
            demand(extent.offset <= extent.end && extent.end <= input_size, "a member lies within its file");
            demand(extent.end - extent.offset == member.size, "a member has its size");
        }
        std::string text;
        if (succeeds([&] { text = container.read_text(member); })) {
            demand(text.size() == member.size, "a text is as long as its member");
        }
    }
}

void resolve(const Arguments &arguments) {
    Arguments resolved;
    if (succeeds([&] { resolved = resolve_names(arguments); })) {
        demand(resolved.size() >= arguments.size(), "resolving removes no argument");
    }
}

} // namespace

// Replacements for functions of the engine, the system and larger parts of the program.
extern "C" std::FILE *ggml_fopen_os(const char *path, const char *mode) {
    return std::fopen(path, mode);
}
bool can_be_mapped(const std::string &) {
    return true;
}
void log_line(const std::string &) {}
std::vector<std::string> own_file_candidates(const std::string &) {
    return {NAME};
}
std::string display_name(const std::string &path) {
    return path;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    std::FILE *file = std::fopen(NAME, "wb");
    demand(file != nullptr && (size == 0 || std::fwrite(data, 1, size, file) == size) && std::fclose(file) == 0,
           "a file to read");
    find_own_container("");
    const std::shared_ptr<const Container> container = own_container();
    read_members(*container, size);
    succeeds([] { only_model(); });
    const std::string text(reinterpret_cast<const char *>(data), size);
    const Arguments lines = parse_lines(text);
    demand(merge(lines, {"user"}).size() <= lines.size() + 1, "a user's arguments stand in one place");
    demand(split_csv(join_csv(lines.empty() ? Arguments{""} : lines)) == (lines.empty() ? Arguments{""} : lines),
           "a line has the fields that it was joined from");
    resolve({"-m", NAME});
    resolve({"--lora", NAME, "-m", "x.gguf", "-f", "x.txt"});
    for (const zip::Member &member : container->members()) {
        resolve({"-m", NAME + ("@" + member.name), "--mmproj", "/zip/" + member.name, "-bf", member.name});
    }
    resolve(lines);
    return 0;
}
