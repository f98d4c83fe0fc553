#include "completion/conversation.h"

#include "base/file.h"
#include "base/message.h"

#include <algorithm>
#include <cstdio>

namespace {

constexpr const char INSTRUCTIONS[] =
    R"(Press Return to answer, and on an empty line to let the model go on.
End a line with \ to enter another one, or with / to answer in multiline mode.
Control-C interrupts the model; pressed again, or instead of an answer, it ends the program.
)";

constexpr const char FULL[] = "the context is full; give a larger one with -c, or let the text go on without its"
                              " beginning with --context-shift";
constexpr int UNTIL_FULL = -2; // as the value of -n

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

// True if a reverse prompt ends within the last PIECE_SIZE bytes of TEXT; sets END to the first such end.
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

// Writes generated text until there is a reason to stop. A reverse prompt is part of the text, and in a completion its
// end.
Conversation::End Conversation::write_turn() {
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
            piece.resize(piece.size() - (text.size() - end)); // the token may continue after it
        }
        output.write(piece);
        if (stops || ends) {
            return stops ? End::STOPPED : End::ENDED;
        }
    }
    return End::LIMITED;
}

void Conversation::complete() {
    const End end = write_turn();
    output.finish();
    if (end == End::FULL && params.n_predict != UNTIL_FULL) {
        log_line(FULL);
    }
}

// Ends the model's turn: in the output for the user, and with a reverse prompt in the model's memory.
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

// Reads the user's turn. False at the end of the input.
bool Conversation::read_turn() {
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
            return true; // the model continues
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
        log_line("this has " + std::to_string(tokens.size()) + " tokens, but the context holds only " +
                 std::to_string(generation.context_size()) + "; say it shorter, or give a larger one with -c");
    }
}

void Conversation::run_turns() {
    const auto &stops = params.antiprompt;
    bool is_users_turn =
        params.interactive_first || std::any_of(stops.begin(), stops.end(), [&](const std::string &stop) {
            return !stop.empty() && params.prompt.ends_with(stop);
        });
    for (;;) {
        generation.prepare();
        if (is_users_turn && !read_turn()) {
            break;
        }
        is_users_turn = true;
        screen.allow_interruption();
        const End end = write_turn();
        if (end == End::FULL) {
            output.finish();
            log_line(FULL);
            break;
        }
        return_control(end);
    }
    output.finish();
}
