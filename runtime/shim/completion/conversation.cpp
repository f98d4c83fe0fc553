#include "completion/conversation.h"

#include "base/message.h"

#include <algorithm>
#include <cstdio>

namespace {

constexpr const char INSTRUCTIONS[] =
    R"(Press Return to answer, and on an empty line to let the model go on.
End a line with \ to enter another one, or with / to answer in multiline mode.
Control-C interrupts the model; pressed again, or instead of an answer, it ends the program.
)";

constexpr int UNTIL_FULL = -2; // for -n

bool ends_with(const std::string &text, const std::string &end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

} // namespace

Conversation::Conversation(const common_params &params, Generation &generation, Output &output, Screen &screen)
    : params(params), generation(generation), output(output), screen(screen),
      in_turns(params.interactive || params.interactive_first) {}

void Conversation::show_prompt(const std::string &text) {
    if (in_turns && is_terminal(stdin)) {
        std::fputs(INSTRUCTIONS, stderr);
    }
    if (params.display_prompt) {
        screen.show(DISPLAY_TYPE_PROMPT);
        output.write(text);
        screen.show(DISPLAY_TYPE_RESET);
    }
}

// Whether one of the reverse prompts ends within the last PIECE_SIZE bytes of TEXT, and where the first of them does.
bool Conversation::stops_at_end(const std::string &text, size_t piece_size, size_t &end) const {
    end = std::string::npos;
    for (const std::string &stop : params.antiprompt) {
        const size_t from = text.size() - std::min(text.size(), piece_size + stop.size());
        const size_t found = stop.empty() ? std::string::npos : text.find(stop, from);
        if (found != std::string::npos) {
            end = std::min(end, found + stop.size());
        }
    }
    return end != std::string::npos;
}

// Writes until there is a reason to stop. A reverse prompt is part of the text, and in a completion its end.
Conversation::End Conversation::speak() {
    std::string text;
    for (int remaining = params.n_predict; remaining != 0; --remaining) {
        if (in_turns && screen.interrupted()) {
            return End::INTERRUPTED;
        }
        const llama_token token = generation.next();
        if (token == LLAMA_TOKEN_NULL) {
            return End::FULL;
        }
        const bool ends = generation.is_end(token);
        std::string piece = ends && !params.special ? std::string() : generation.piece(token);
        text += piece;
        size_t end = 0;
        const bool stops = stops_at_end(text, piece.size(), end);
        if (stops && !in_turns) {
            piece.resize(piece.size() - (text.size() - end)); // a token may go on behind it
        }
        output.write(piece);
        if (stops || ends) {
            return stops ? End::STOPPED : End::ENDED;
        }
    }
    return End::LIMITED;
}

void Conversation::complete() {
    const End end = speak();
    output.finish();
    if (end == End::FULL && params.n_predict != UNTIL_FULL) {
        complain("the context is full; give a larger one with -c");
    }
}

// What the model left open is closed, so that the user can see that it is his turn, and the model read it.
void Conversation::return_control(End end) {
    if (end == End::INTERRUPTED || end == End::ENDED) {
        output.finish();
    }
    if (end == End::ENDED && !params.antiprompt.empty()) {
        const std::string &first = params.antiprompt.front();
        generation.add(generation.tokenize(first, true));
        output.write(first);
    }
}

// The user's turn. False at the end of the input.
bool Conversation::listen() {
    for (;;) {
        output.write(params.input_prefix);
        std::string line = screen.read(params.multiline_input);
        if (line.empty()) {
            return false;
        }
        if (is_terminal(stdin)) {
            output.line_was_entered();
        }
        generation.reset_sampling();
        if (line == "\n") {
            return true; // the model goes on
        }
        if (params.escape) {
            string_process_escapes(line);
        }
        std::vector<llama_token> tokens = generation.tokenize(params.input_prefix, true);
        if (params.input_prefix_bos) {
            tokens.insert(tokens.begin(), generation.beginning());
        }
        for (const auto &[text, has_special] :
             {std::make_pair(line, false), std::make_pair(params.input_suffix, true)}) {
            const std::vector<llama_token> more = generation.tokenize(text, has_special);
            tokens.insert(tokens.end(), more.begin(), more.end());
        }
        if (generation.add(tokens)) {
            output.write(params.input_suffix);
            return true;
        }
        complain("this has " + std::to_string(tokens.size()) + " tokens, but the context holds only " +
                 std::to_string(generation.context_size()) + "; say it shorter, or give a larger one with -c");
    }
}

void Conversation::converse() {
    const auto &stops = params.antiprompt;
    bool users_turn = params.interactive_first || std::any_of(stops.begin(), stops.end(), [&](const std::string &stop) {
                          return !stop.empty() && ends_with(params.prompt, stop);
                      });
    for (;;) {
        generation.prepare();
        if (users_turn && !listen()) {
            break;
        }
        users_turn = true;
        screen.allow_interruption();
        const End end = speak();
        if (end == End::FULL) {
            output.finish();
            complain("the context is full; give a larger one with -c");
            break;
        }
        return_control(end);
    }
    output.finish();
}
