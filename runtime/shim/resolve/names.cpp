#include "resolve/names.h"

#include "base/csv.h"
#include "base/message.h"
#include "base/standard_input.h"
#include "hooks/mapping.h"
#include "resolve/model.h"
#include "resolve/reference.h"
#include "resolve/weights.h"

#include <cstring>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

namespace {

enum class Value {
    WEIGHTS,        // one GGUF; the last such option counts
    LIST,           // a row of them
    LIST_OF_SCALED, // a row of NAME:SCALE
    TEXT,           // a text that the engine reads through llamafile_read_text
    OTHER_TEXT,     // one that it reads from disk only, but takes literally by another option
    LITERAL,        // no name at all, and perhaps the spelling of an option
};

struct Naming {
    std::vector<std::string> options;
    Value value;
    const char *literal_option = nullptr;
};

const std::vector<std::string> MODEL = {"-m", "--model"};
const std::vector<std::string> PROJECTOR = {"--mmproj", "-mm"};
const std::vector<std::string> LOADING = {"-lm",     "--load-mode", "--mmap",     "--no-mmap",
                                          "--mlock", "-dio",        "--direct-io"};
constexpr const char API_KEY[] = "--api-key";

// The engine's options with names in them (common/arg.cpp), but for those of files that it writes.
const std::vector<Naming> NAMINGS = {
    {MODEL, Value::WEIGHTS},
    {PROJECTOR, Value::WEIGHTS},
    {{"-md", "--model-draft", "--spec-draft-model"}, Value::WEIGHTS},
    {{"--lora"}, Value::LIST},
    {{"--lora-scaled"}, Value::LIST_OF_SCALED},
    {{"--control-vector"}, Value::LIST},
    {{"--control-vector-scaled"}, Value::LIST_OF_SCALED},
    {{"-f", "--file"}, Value::TEXT},
    {{"-sysf", "--system-prompt-file"}, Value::TEXT},
    {{"--grammar-file"}, Value::TEXT},
    {{"--chat-template-file"}, Value::TEXT},
    {{"--ui-config-file", "--webui-config-file"}, Value::TEXT},
    {{"-bf", "--binary-file"}, Value::OTHER_TEXT, "-p"},
    {{"-jf", "--json-schema-file"}, Value::OTHER_TEXT, "-j"},
    {{"--mcp-servers-config"}, Value::OTHER_TEXT, "--mcp-servers-json"},
    {{"--api-key-file"}, Value::OTHER_TEXT, API_KEY},
    {{"-p", "--prompt", "-sys", "--system-prompt", "-r", "--reverse-prompt", "--in-prefix", "--in-suffix"},
     Value::LITERAL},
};

struct Place {
    size_t index; // of the option; its value is the next argument
    const Naming *naming;
};

std::vector<Place> places_of_names(const Arguments &arguments) {
    std::vector<Place> places;
    for (size_t i = 0; i + 1 < arguments.size(); ++i) {
        for (const Naming &naming : NAMINGS) {
            if (has_option({arguments[i]}, naming.options)) {
                places.push_back({i++, &naming});
                break;
            }
        }
    }
    return places;
}

// A file that is no GGUF but has an archive, which is then what NAME refers to.
std::shared_ptr<const Container> archive_named(const std::string &name) {
    char magic[4] = {};
    std::FILE *file = open_on_disk(name);
    if (file == nullptr) {
        return nullptr;
    }
    const size_t size = std::fread(magic, 1, sizeof magic, file);
    std::fclose(file);
    if (size != sizeof magic || std::memcmp(magic, "GGUF", sizeof magic) == 0) {
        return nullptr;
    }
    auto container = Container::at(name);
    return container->has_archive() || container->is_damaged() ? container : nullptr;
}

bool settle_weights(std::string &name, const std::vector<std::string> &options, std::string &problem) {
    if (const auto archive = archive_named(name)) {
        if (archive->is_damaged()) {
            problem = archive->absence();
            return false;
        }
        const zip::Member *member = weights_meant(*archive, options, problem);
        if (member == nullptr) {
            return false;
        }
        name += "@" + member->name;
    }
    return check_model(name, problem);
}

bool settle_row(std::string &row, const Naming &naming, std::string &problem) {
    std::vector<std::string> fields = split_row(row);
    for (std::string &field : fields) {
        const size_t colon = naming.value == Value::LIST_OF_SCALED ? field.rfind(':') : std::string::npos;
        if (naming.value == Value::LIST_OF_SCALED && colon == std::string::npos) {
            problem = "'" + field + "' is not of the form NAME:SCALE, as " + naming.options.front() + " needs it";
            return false;
        }
        std::string name = field.substr(0, colon);
        if (!settle_weights(name, naming.options, problem)) {
            return false;
        }
        field = name + (colon == std::string::npos ? std::string() : field.substr(colon));
    }
    row = join_row(fields);
    return true;
}

bool check_text(const std::string &name, const std::string &option, std::string &text, std::string &problem) {
    const MemberReference reference = member_named(name);
    if (reference) {
        return reference.container->read_text(*reference.member, text, problem);
    }
    const Container &own = Container::instance();
    problem = "there is no file '" + name + "' for " + option +
              (own.has_archive() ? ", and no such member in " + own.path() : std::string());
    return false;
}

// The engine's own reading of the file: a key a line, and comments.
std::string row_of_keys(const std::string &text) {
    std::vector<std::string> keys;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (!line.empty() && line.front() != '#') {
            keys.push_back(line);
        }
    }
    return join_row(keys);
}

bool settle_text(std::string &option, std::string &value, const Naming &naming, std::string &problem) {
    std::string text;
    if (is_standard_input(value) || is_on_disk(value)) {
        return true;
    }
    if (!check_text(value, option, text, problem)) {
        return false;
    }
    if (naming.value == Value::TEXT) {
        return true;
    }
    if (text.find('\0') != std::string::npos) {
        problem = "'" + value + "' holds a NUL byte, which no argument can; give " + option + " a file on disk";
        return false;
    }
    option = naming.literal_option;
    value = option == API_KEY ? row_of_keys(text) : std::move(text);
    return true;
}

bool settle(Arguments &arguments, const Place &place, std::string &problem) {
    std::string &option = arguments[place.index], &value = arguments[place.index + 1];
    switch (place.naming->value) {
    case Value::WEIGHTS:
        return settle_weights(value, place.naming->options, problem);
    case Value::LIST:
    case Value::LIST_OF_SCALED:
        return settle_row(value, *place.naming, problem);
    case Value::TEXT:
    case Value::OTHER_TEXT:
        return settle_text(option, value, *place.naming, problem);
    case Value::LITERAL:
        break;
    }
    return true;
}

// What an archive that was named as the model says its projector is; nothing if somebody chose one, or none.
Arguments projector_of(const std::string &archive, const Arguments &arguments, std::string &problem) {
    if (has_option(arguments, PROJECTOR) ||
        has_option(arguments, {"-mmu", "--mmproj-url", "--no-mmproj", "--no-mmproj-auto"})) {
        return {};
    }
    const auto container = Container::at(archive);
    std::string ignored; // arguments that cannot be read ask for nothing
    const zip::Member *member = default_value(*container, PROJECTOR, ignored);
    if (member == nullptr) {
        return {};
    }
    const std::string name = archive + "@" + member->name;
    return check_model(name, problem) ? Arguments{PROJECTOR.front(), name} : Arguments{};
}

Arguments loading_of(const std::string &model, const Arguments &arguments) {
    if (has_option(arguments, LOADING) || can_be_mapped(model)) {
        return {};
    }
    complain("'" + model + "' cannot be mapped into memory here, so it is read, which takes longer");
    return {LOADING.front(), "none"};
}

} // namespace

bool resolve_names(Arguments &arguments, std::string &problem) {
    const std::vector<Place> places = places_of_names(arguments);
    std::set<const Naming *> settled;
    Arguments additions;
    for (auto place = places.rbegin(); place != places.rend(); ++place) {
        if (place->naming->value == Value::WEIGHTS && !settled.insert(place->naming).second) {
            continue; // a later one counts
        }
        const std::string before = arguments[place->index + 1];
        if (!settle(arguments, *place, problem)) {
            return false;
        }
        if (place->naming->options != MODEL) {
            continue;
        }
        const std::string &model = arguments[place->index + 1];
        additions = loading_of(model, arguments);
        if (model != before) {
            const Arguments projector = projector_of(before, arguments, problem);
            additions.insert(additions.end(), projector.begin(), projector.end());
        }
    }
    arguments.insert(arguments.begin(), additions.begin(), additions.end());
    return problem.empty();
}
