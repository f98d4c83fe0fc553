#include "roofline/options.h"

#include "base/text.h"
#include "base/user_error.h"
#include "common.h"

#include <algorithm>
#include <optional>
#include <string>

namespace {

constexpr int THREADS_MAX = 512;
constexpr int ALL_COUNTS_MAX = 4;

const std::string THREADS_FORM =
    " takes numbers from 1 to " + std::to_string(THREADS_MAX) + ", such as 1,2 or 1-8 or 1-64*2, not '";

std::optional<int> number_in(const std::string &text) {
    const bool is_number =
        !text.empty() && text.size() < 8 && text.find_first_not_of("0123456789") == std::string::npos;
    return is_number ? std::optional(std::stoi(text)) : std::nullopt;
}

// Appends the numbers of FIELD to COUNTS: one, or a range as the engine's tool takes it, FIRST-LAST[+STEP|*FACTOR].
// False if it is neither.
bool add_range(const std::string &field, std::vector<int> &counts) {
    const size_t dash = field.find('-');
    const size_t sign = field.find_first_of("+*");
    const bool has_step = sign != std::string::npos;
    const std::optional<int> first = number_in(field.substr(0, dash));
    const std::optional<int> last =
        dash == std::string::npos ? first : number_in(field.substr(dash + 1, has_step ? sign - dash - 1 : sign));
    const std::optional<int> step = has_step ? number_in(field.substr(sign + 1)) : std::optional(1);
    const bool is_factor = has_step && field[sign] == '*';
    if (!first || !last || !step || *first < 1 || *last < *first || *last > THREADS_MAX ||
        *step < (is_factor ? 2 : 1)) {
        return false;
    }
    for (int count = *first; count <= *last; count = is_factor ? count * *step : count + *step) {
        counts.push_back(count);
    }
    return true;
}

void add_counts(const std::string &name, const std::string &value, std::vector<int> &counts) {
    const std::vector<std::string> fields = split_at(',', value);
    if (!std::all_of(fields.begin(), fields.end(),
                     [&counts](const std::string &field) { return add_range(field, counts); })) {
        throw UserError(name + THREADS_FORM + value + "'");
    }
}

bool parse_format(const std::string &name, const std::string &value) {
    if (value != "md" && value != "json") {
        throw UserError("with --roofline, " + name + " takes md or json, not '" + value + "'");
    }
    return value == "json";
}

std::vector<int> sorted(std::vector<int> counts) {
    std::sort(counts.begin(), counts.end());
    counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
    return counts;
}

// Up to the number of threads that the engine would compute with: each of a few, else powers of two.
std::vector<int> default_threads() {
    const int most = std::clamp(static_cast<int>(common_cpu_get_num_math()), 1, THREADS_MAX);
    std::vector<int> counts;
    for (int count = 1; count < most; count = most <= ALL_COUNTS_MAX ? count + 1 : count * 2) {
        counts.push_back(count);
    }
    counts.push_back(most);
    return counts;
}

} // namespace

RooflineOptions parse_roofline_options(const Arguments &arguments) {
    RooflineOptions options;
    for (size_t at = 0; at < arguments.size(); ++at) {
        const std::string name = normalised(arguments[at]);
        if (name == ROOFLINE_OPTION) {
            continue;
        }
        const bool is_threads = name == "-t" || name == "--threads";
        if (!is_threads && name != "-o" && name != "--output") {
            throw UserError("--roofline measures this machine without a model, and takes only -t and -o, not '" +
                            arguments[at] + "'");
        }
        if (at + 1 == arguments.size()) {
            throw UserError(name + " needs a value");
        }
        const std::string &value = arguments[++at];
        if (is_threads) {
            add_counts(name, value, options.threads);
        } else {
            options.is_json = parse_format(name, value);
        }
    }
    options.threads = options.threads.empty() ? default_threads() : sorted(options.threads);
    return options;
}
