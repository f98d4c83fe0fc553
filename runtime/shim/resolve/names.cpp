#include "resolve/names.h"

#include "archive/own_container.h"
#include "archive/reference.h"
#include "archive/weights.h"
#include "base/csv.h"
#include "base/file.h"
#include "base/message.h"
#include "base/standard_input.h"
#include "base/user_error.h"
#include "hooks/mapping.h"
#include "resolve/model.h"

#include <cstring>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

namespace {

// The kind of value of an option.
enum class Kind {
    WEIGHTS,        // one GGUF file; the last such option is used
    LIST,           // comma-separated GGUF files
    LIST_OF_SCALED, // comma-separated NAME:SCALE
    TEXT,           // a text file that the engine reads with llamafile_read_text()
    OTHER_TEXT,     // a text file that it reads from disk only; another option takes the text itself
    LITERAL,        // not a name, and possibly the spelling of an option
};

struct NamingOption {
    std::vector<std::string> spellings;
    Kind kind;
    const char *literal_option = nullptr;
};

const std::vector<std::string> MODEL = {"-m", "--model"};
const std::vector<std::string> PROJECTOR = {"--mmproj", "-mm"};
const std::vector<std::string> LOADING = {"-lm",     "--load-mode", "--mmap",     "--no-mmap",
                                          "--mlock", "-dio",        "--direct-io"};
constexpr const char API_KEY[] = "--api-key";

// The engine's options whose value names a file (common/arg.cpp), except files that it writes.
const std::vector<NamingOption> NAMING_OPTIONS = {
    {MODEL, Kind::WEIGHTS},
    {PROJECTOR, Kind::WEIGHTS},
    {{"-md", "--model-draft", "--spec-draft-model"}, Kind::WEIGHTS},
    {{"--lora"}, Kind::LIST},
    {{"--lora-scaled"}, Kind::LIST_OF_SCALED},
    {{"--control-vector"}, Kind::LIST},
    {{"--control-vector-scaled"}, Kind::LIST_OF_SCALED},
    {{"-f", "--file"}, Kind::TEXT},
    {{"-sysf", "--system-prompt-file"}, Kind::TEXT},
    {{"--grammar-file"}, Kind::TEXT},
    {{"--chat-template-file"}, Kind::TEXT},
    {{"--ui-config-file", "--webui-config-file"}, Kind::TEXT},
    {{"--models-preset"}, Kind::TEXT},
    {{"-bf", "--binary-file"}, Kind::OTHER_TEXT, "-p"},
    {{"-jf", "--json-schema-file"}, Kind::OTHER_TEXT, "-j"},
    {{"--mcp-servers-config"}, Kind::OTHER_TEXT, "--mcp-servers-json"},
    {{"--api-key-file"}, Kind::OTHER_TEXT, API_KEY},
    {{"-p", "--prompt", "-sys", "--system-prompt", "-r", "--reverse-prompt", "--in-prefix", "--in-suffix"},
     Kind::LITERAL},
};

struct Place {
    size_t index; // of the option; its value is the next argument
    const NamingOption *naming;
};

std::vector<Place> places_of_names(const Arguments &arguments) {
    std::vector<Place> places;
    for (size_t i = 0; i + 1 < arguments.size(); ++i) {
        for (const NamingOption &naming : NAMING_OPTIONS) {
            if (has_option({arguments[i]}, naming.spellings)) {
                places.push_back({i++, &naming});
                break;
            }
        }
    }
    return places;
}

// The archive at the end of the file NAME; null if this is a GGUF file, or has no archive.
std::shared_ptr<const Container> archive_named(const std::string &name) {
    char magic[4] = {};
    const File file = open_on_disk(name);
    if (file == nullptr) {
        return nullptr;
    }
    const size_t size = std::fread(magic, 1, sizeof magic, file.get());
    if (size != sizeof magic || std::memcmp(magic, "GGUF", sizeof magic) == 0) {
        return nullptr;
    }
    auto container = Container::at(name);
    return container->has_archive() || container->is_damaged() ? container : nullptr;
}

// Throws UserError if the file NAME is a pipe: weights are opened several times, and read at several offsets.
void check_seekable(const std::string &name) {
    const File file = open_on_disk(name);
    if (file != nullptr && !file_size(file.get())) {
        throw UserError("'" + name + "' is a pipe, which can be read only once; save the weights as a file first");
    }
}

// The name of the weights that NAME stands for as the value of one of OPTIONS.
std::string resolve_weights(const std::string &name, const std::vector<std::string> &options) {
    std::string resolved = name;
    check_seekable(name);
    if (const auto archive = archive_named(name)) {
        if (archive->is_damaged()) {
            throw UserError(archive->missing_archive_message());
        }
        resolved += "@" + select_weights(*archive, options).name;
    }
    check_model(resolved);
    return resolved;
}

std::string resolve_list(const std::string &list, const NamingOption &naming) {
    std::vector<std::string> fields = split_csv(list);
    for (std::string &field : fields) {
        const size_t colon = naming.kind == Kind::LIST_OF_SCALED ? field.rfind(':') : std::string::npos;
        if (naming.kind == Kind::LIST_OF_SCALED && colon == std::string::npos) {
            throw UserError("'" + field + "' is not of the form NAME:SCALE, as " + naming.spellings.front() +
                            " needs it");
        }
        const std::string scale = colon == std::string::npos ? std::string() : field.substr(colon);
        field = resolve_weights(field.substr(0, colon), naming.spellings);
        field += scale;
    }
    return join_csv(fields);
}

std::string read_member_text(const std::string &name, const std::string &option) {
    if (const MemberReference reference = member_named(name)) {
        return reference.container->read_text(*reference.member);
    }
    const std::shared_ptr<const Container> own = own_container();
    throw UserError("there is no file '" + name + "' for " + option +
                    (own->has_archive() ? ", and no such member in " + own->name() : std::string()));
}

// Parses a file of keys like the engine: a key a line, and comments.
std::string keys_in(const std::string &text) {
    std::vector<std::string> keys;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (!line.empty() && line.front() != '#') {
            keys.push_back(line);
        }
    }
    return join_csv(keys);
}

void resolve_text(std::string &option, std::string &value, const NamingOption &naming) {
    if (is_standard_input(value) || is_on_disk(value)) {
        return;
    }
    std::string text = read_member_text(value, option);
    if (naming.kind == Kind::TEXT) {
        return;
    }
    if (text.find('\0') != std::string::npos) {
        throw UserError("'" + value + "' holds a NUL byte, which no argument can; give " + option + " a file on disk");
    }
    option = naming.literal_option;
    value = option == API_KEY ? keys_in(text) : std::move(text);
}

void resolve(Arguments &arguments, const Place &place) {
    std::string &option = arguments[place.index], &value = arguments[place.index + 1];
    switch (place.naming->kind) {
    case Kind::WEIGHTS:
        value = resolve_weights(value, place.naming->spellings);
        break;
    case Kind::LIST:
    case Kind::LIST_OF_SCALED:
        value = resolve_list(value, *place.naming);
        break;
    case Kind::TEXT:
    case Kind::OTHER_TEXT:
        resolve_text(option, value, *place.naming);
        break;
    case Kind::LITERAL:
        break;
    }
}

const zip::Member *default_projector(const Container &container) {
    try {
        return default_value(container, PROJECTOR);
    } catch (const UserError &) {
        return nullptr; // unreadable arguments request no projector
    }
}

// The projector option for the model in ARCHIVE; empty if its default arguments name none, or ARGUMENTS set it.
Arguments projector_of(const std::string &archive, const Arguments &arguments) {
    if (has_option(arguments, PROJECTOR) ||
        has_option(arguments, {"-mmu", "--mmproj-url", "--no-mmproj", "--no-mmproj-auto"})) {
        return {};
    }
    const std::shared_ptr<const Container> container = Container::at(archive);
    const zip::Member *member = default_projector(*container);
    if (member == nullptr) {
        return {};
    }
    const std::string name = archive + "@" + member->name;
    check_model(name);
    return {PROJECTOR.front(), name};
}

// The load mode option for a model that cannot be mapped; empty if it can be, or ARGUMENTS set it.
Arguments load_mode_of(const std::string &model, const Arguments &arguments) {
    if (has_option(arguments, LOADING) || can_be_mapped(model)) {
        return {};
    }
    log_line("'" + model + "' cannot be mapped into memory here, so it is read, which takes longer");
    return {LOADING.front(), "none"};
}

} // namespace

Arguments resolve_names(Arguments arguments) {
    const std::vector<Place> places = places_of_names(arguments);
    std::set<const NamingOption *> resolved;
    Arguments additions;
    for (auto place = places.rbegin(); place != places.rend(); ++place) {
        if (place->naming->kind == Kind::WEIGHTS && !resolved.insert(place->naming).second) {
            continue; // the engine uses the last one
        }
        const std::string before = arguments[place->index + 1];
        resolve(arguments, *place);
        if (place->naming->spellings != MODEL) {
            continue;
        }
        const std::string &model = arguments[place->index + 1];
        additions = load_mode_of(model, arguments);
        if (model != before) {
            const Arguments projector = projector_of(before, arguments);
            additions.insert(additions.end(), projector.begin(), projector.end());
        }
    }
    arguments.insert(arguments.begin(), additions.begin(), additions.end());
    return arguments;
}
