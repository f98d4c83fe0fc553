#include "completion/system_prompt.h"

#include "hooks/hooks.h"
#include "json.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

namespace {

bool read(const std::string &file, std::string &text, std::string &problem) {
    if (llamafile_read_text(file, text)) {
        return true;
    }
    errno = 0;
    std::ifstream stream(file, std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(stream), {});
    if (!stream.is_open() || stream.bad()) {
        problem = "cannot read the system prompt '" + file + "': " + std::strerror(errno);
        return false;
    }
    return true;
}

} // namespace

bool page_settings(const std::string &file, std::string &settings, std::string &problem) {
    std::string text;
    if (!read(file, text, problem)) {
        return false;
    }
    const common_json object = common_json::parse_no_throw(text);
    if (object.is_object() && object.contains("prompt") && object.at("prompt").is_string()) {
        text = object.at("prompt").get<std::string>();
    }
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) {
        text.pop_back();
    }
    settings = common_json{{"systemMessage", text}}.dump();
    return true;
}
