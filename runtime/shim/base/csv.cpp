#include "base/csv.h"

#include "base/text.h"

std::vector<std::string> split_csv(const std::string &line) {
    std::vector<std::string> fields(1);
    bool is_quoted = false;
    for (size_t i = 0; i < line.size(); ++i) {
        std::string &field = fields.back();
        if (line[i] == '"' && is_quoted && line.compare(i, 2, "\"\"") == 0) {
            field += line[i++];
        } else if (line[i] == '"' && (is_quoted || field.empty())) {
            is_quoted = !is_quoted;
        } else if (line[i] == ',' && !is_quoted) {
            fields.emplace_back();
        } else {
            field += line[i];
        }
    }
    return fields;
}

std::string join_csv(const std::vector<std::string> &fields) {
    std::vector<std::string> quoted;
    for (const std::string &field : fields) {
        if (field.find_first_of(",\"") == std::string::npos) {
            quoted.push_back(field);
            continue;
        }
        std::string text = "\"";
        for (const char letter : field) {
            text += letter == '"' ? "\"\"" : std::string(1, letter);
        }
        quoted.push_back(text + '"');
    }
    return join(quoted, ",");
}
