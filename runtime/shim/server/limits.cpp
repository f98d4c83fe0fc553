// Limits on requests. The engine itself is limited only by stack and memory; each limit is far above the requests of
// clients, and far below those that make a server fail.

#include "hooks/hooks.h"
#include "server/session.h"

#include <cctype>
#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace {

constexpr size_t JSON_DEPTH = 200;         // the engine processes JSON recursively
constexpr size_t JSON_DIGITS = 19;         // of an integer: for one of more than 64 bits, the parser ends the process
constexpr size_t GRAMMAR_DEPTH = 200;      // and the parentheses of a grammar
constexpr size_t GRAMMAR_SIZE = 256 << 10; // the time grows quadratically
constexpr size_t TEXT_SIZE = 8 << 20;      // a tokenizer needs forty times this memory
constexpr size_t PROMPTS = 2048;           // the maximum of OpenAI's API for texts to embed

void refuse_above(size_t limit, size_t got, const char *what) {
    if (got > limit) {
        throw std::invalid_argument(std::string(what) + ": got " + std::to_string(got) + ", the limit is " +
                                    std::to_string(limit));
    }
}

// The position of END, which ends a quotation that TEXT starts in; a backslash quotes the next character.
const char *end_of_quote(const char *text, char end) {
    while (*text != '\0' && *text != end) {
        text += *text == '\\' && text[1] != '\0' ? 2 : 1;
    }
    return text;
}

// The end of the number that begins at TEXT with a digit.
const char *end_of_number(const char *text) {
    // Not std::strspn(): that of zig's C library takes the time of the whole rest of the text.
    const auto is_digit = [](char character) { return '0' <= character && character <= '9'; };
    const auto is_of_number = [&](char character) {
        return is_digit(character) || character == '.' || character == 'e' || character == 'E' || character == '+' ||
               character == '-';
    };
    size_t digits = 0;
    while (is_digit(text[digits])) {
        ++digits;
    }
    size_t size = digits;
    while (is_of_number(text[size])) {
        ++size;
    }
    if (size == digits) {
        refuse_above(JSON_DIGITS, digits, "an integer has too many digits");
    }
    return text + size;
}

} // namespace

void llamafile_check_json(const std::string &text) {
    size_t depth = 0;
    for (const char *at = text.c_str(), *end = at + text.size(); at < end; ++at) {
        if (*at == '"') {
            at = end_of_quote(at + 1, '"');
        } else if (std::isdigit(static_cast<unsigned char>(*at)) != 0) {
            at = end_of_number(at) - 1;
        } else if (*at == '[' || *at == '{') {
            refuse_above(JSON_DEPTH, ++depth, "JSON is nested too deep");
        } else if ((*at == ']' || *at == '}') && depth > 0) {
            --depth;
        }
    }
}

void llamafile_check_grammar(const char *text) {
    refuse_above(session().limits_requests ? GRAMMAR_SIZE : SIZE_MAX, std::strlen(text),
                 "the grammar has too many bytes");
    size_t depth = 0;
    for (const char *at = text; *at != '\0'; ++at) {
        if (*at == '"' || *at == '[') {
            at = end_of_quote(at + 1, *at == '"' ? '"' : ']');
        } else if (*at == '#') {
            at += std::strcspn(at, "\r\n");
        } else if (*at == '(') {
            refuse_above(GRAMMAR_DEPTH, ++depth, "the grammar's parentheses are nested too deep");
        } else if (*at == ')' && depth > 0) {
            --depth;
        }
        if (*at == '\0') {
            break;
        }
    }
}

void llamafile_check_text(size_t size) {
    refuse_above(session().limits_requests ? TEXT_SIZE : SIZE_MAX, size, "the text has too many bytes");
}

void llamafile_check_prompts(size_t count) {
    refuse_above(PROMPTS, count, "the request holds too many texts");
}
