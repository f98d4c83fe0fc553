#include "base/csv.h"

std::vector<std::string> split_row(const std::string &row) {
    std::vector<std::string> fields(1);
    bool is_quoted = false;
    for (size_t i = 0; i < row.size(); ++i) {
        std::string &field = fields.back();
        if (row[i] == '"' && is_quoted && row.compare(i, 2, "\"\"") == 0) {
            field += row[i++];
        } else if (row[i] == '"' && (is_quoted || field.empty())) {
            is_quoted = !is_quoted;
        } else if (row[i] == ',' && !is_quoted) {
            fields.emplace_back();
        } else {
            field += row[i];
        }
    }
    return fields;
}

std::string join_row(const std::vector<std::string> &fields) {
    std::string row;
    for (const std::string &field : fields) {
        row += &field == &fields.front() ? "" : ",";
        if (field.find_first_of(",\"") == std::string::npos) {
            row += field;
            continue;
        }
        row += '"';
        for (const char letter : field) {
            row += letter == '"' ? "\"\"" : std::string(1, letter);
        }
        row += '"';
    }
    return row;
}
