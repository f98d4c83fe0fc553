#include "options/system_prompt.h"

#include "base/user_error.h"
#include "hooks/hooks.h"
#include "json.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

namespace {

std::string read(const std::string &file) {
    std::string text;
    if (llamafile_read_text(file, text)) {
        return text;
    }
    errno = 0;
    std::ifstream stream(file, std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(stream), {});
    if (!stream.is_open() || stream.bad()) {
        throw UserError("cannot read the system prompt '" + file + "': " + std::strerror(errno));
    }
    return text;
}

} // namespace

std::string page_settings(const std::string &file) {
    std::string text = read(file);
    const common_json object = common_json::parse_no_throw(text);
    if (object.is_object() && object.contains("prompt") && object.at("prompt").is_string()) {
        text = object.at("prompt").get<std::string>();
    }
    text.resize(text.find_last_not_of("\r\n") + 1); // npos + 1 is 0
    return common_json{{"systemMessage", text}}.dump();
}
