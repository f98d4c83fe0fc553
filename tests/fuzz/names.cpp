// What the shim itself parses, on bytes that mean it no good: an archive, the
// default arguments in it, the names that a command line has of its members.
// For tests/fuzz/mutation.cpp, and as well for libFuzzer (clang++
// -fsanitize=fuzzer).

#include "resolve/names.h"
#include "options/arguments.h"
#include "archive/container.h"
#include "hooks/mapping.h"
#include "resolve/model.h"
#include "base/own_file.h"
#include "base/csv.h"
#include "resolve/weights.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

constexpr const char NAME[] = "current-input"; // also what to look at when this ends badly

void demand(bool condition, const char *what) {
    if (!condition) {
        std::fprintf(stderr, "broken promise: %s\n", what);
        std::abort();
    }
}

void read_members(const Container &container, size_t input_size) {
    for (const zip::Member &member : container.members()) {
        MemberExtent extent{};
        std::string problem, text;
        if (container.mappable_extent_of(member, extent, problem)) {
            demand(extent.offset <= extent.end && extent.end <= input_size, "a member lies within its file");
            demand(extent.end - extent.offset == member.size, "a member has its size");
        } else {
            demand(!problem.empty(), "a refusal has a reason");
        }
        if (container.read_text(member, text, problem)) {
            demand(text.size() == member.size, "a text is as long as its member");
        }
    }
}

void resolve(Arguments arguments) {
    std::string problem;
    const bool resolved = resolve_names(arguments, problem);
    demand(resolved == problem.empty(), "names are resolved, or there is a reason");
}

} // namespace

// What the program has from the engine, the system and its own larger parts.
extern "C" std::FILE *ggml_fopen_os(const char *path, const char *mode) {
    return std::fopen(path, mode);
}
bool can_be_mapped(const std::string &) {
    return true;
}
void complain(const std::string &) {}
std::vector<std::string> own_file_candidates(const char *) {
    return {NAME};
}
std::string file_name(const std::string &path) {
    return path;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    std::FILE *file = std::fopen(NAME, "wb");
    demand(file != nullptr && (size == 0 || std::fwrite(data, 1, size, file) == size) && std::fclose(file) == 0,
           "a file to read");
    Container &container = Container::instance();
    container = {};
    container.find(nullptr);
    read_members(container, size);
    std::string problem;
    only_model(problem);
    const std::string text(reinterpret_cast<const char *>(data), size);
    const Arguments lines = parse_lines(text);
    demand(merge(lines, {"user"}).size() <= lines.size() + 1, "a user's arguments stand in one place");
    demand(split_row(join_row(lines.empty() ? Arguments{""} : lines)) == (lines.empty() ? Arguments{""} : lines),
           "a row is what it was made of");
    resolve({"-m", NAME});
    resolve({"--lora", NAME, "-m", "x.gguf", "-f", "x.txt"});
    for (const zip::Member &member : container.members()) {
        resolve({"-m", NAME + ("@" + member.name), "--mmproj", "/zip/" + member.name, "-bf", member.name});
    }
    resolve(lines);
    return 0;
}
