#include "prompts/store.h"

#include "base/message.h"
#include "hash/xxhash/xxhash.h" // of the engine: as fast as memory; it finds damage, not forgery

#include <algorithm>
#include <cstring>
#include <utility>

namespace {

constexpr char MAGIC[8] = {'L', 'L', 'M', 'F', 'P', 'R', 'M', '1'};

struct Header {
    char magic[sizeof MAGIC];
    uint64_t check; // of what follows
    uint64_t context;
    uint64_t token_count;
    uint64_t target_size;
    uint64_t draft_size;
};

constexpr size_t UNCHECKED = offsetof(Header, context); // bytes at the beginning that the checksum does not cover

bool fits(const Header &header, uint64_t file_size) {
    const uint64_t size = file_size - sizeof header;
    return std::memcmp(header.magic, MAGIC, sizeof MAGIC) == 0 && header.token_count <= size / sizeof(int32_t) &&
           header.target_size <= size && header.draft_size <= size &&
           header.token_count * sizeof(int32_t) + header.target_size + header.draft_size == size;
}

std::optional<Header> read_header(const Place &place, uint64_t file_size) {
    Header header{};
    const bool is_read = file_size > sizeof header && place.read(0, &header, sizeof header);
    return is_read && fits(header, file_size) ? std::optional(header) : std::nullopt;
}

uint64_t checksum_of(const Header &header, const PromptState &state) {
    const auto *bytes = reinterpret_cast<const unsigned char *>(&header);
    uint64_t sum = XXH3_64bits(bytes + UNCHECKED, sizeof header - UNCHECKED);
    sum = XXH3_64bits_withSeed(state.tokens.data(), state.tokens.size() * sizeof(int32_t), sum);
    sum = XXH3_64bits_withSeed(state.target.bytes.get(), state.target.size, sum);
    return XXH3_64bits_withSeed(state.draft.bytes.get(), state.draft.size, sum);
}

size_t common_prefix(const std::vector<int32_t> &a, const std::vector<int32_t> &b) {
    return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

bool write_file(const Place &place, const PromptState &state) {
    Header header{};
    std::memcpy(header.magic, MAGIC, sizeof MAGIC);
    header.context = state.context;
    header.token_count = state.tokens.size();
    header.target_size = state.target.size;
    header.draft_size = state.draft.size;
    header.check = checksum_of(header, state);
    const uint64_t token_size = state.tokens.size() * sizeof(int32_t);
    const uint64_t target_offset = sizeof header + token_size;
    return place.write(sizeof header, state.tokens.data(), token_size) &&
           place.write(target_offset, state.target.bytes.get(), state.target.size) &&
           place.write(target_offset + state.target.size, state.draft.bytes.get(), state.draft.size) &&
           place.write(0, &header, sizeof header);
}

} // namespace

PromptStore::PromptStore(const std::vector<Place> &places, std::string path, uint64_t limit)
    : folder(std::move(path)), size_max(limit) {
    for (const Place &place : places) {
        known_places.emplace_back(place);
    }
}

void PromptStore::look(Known &known) const {
    const Place::Status status = known.place.status().value_or(Place::Status{0, 0});
    if (status.size == known.status.size && status.changed == known.status.changed) {
        return;
    }
    known.status = status;
    known.is_state = false;
    known.tokens.clear();
    if (const std::optional<Header> header = read_header(known.place, status.size)) {
        known.context = header->context;
        known.tokens.resize(header->token_count);
        known.is_state = known.place.read(sizeof *header, known.tokens.data(), known.tokens.size() * sizeof(int32_t));
    }
}

void PromptStore::look_at_all() {
    for (Known &known : known_places) {
        if (!known.is_in_use) {
            look(known);
        }
    }
}

std::optional<PromptStore::Match> PromptStore::find(uint64_t context, const std::vector<int32_t> &tokens,
                                                    bool may_cut) {
    const std::scoped_lock lock(mutex);
    look_at_all();
    std::optional<Match> best;
    for (size_t i = 0; i < known_places.size(); ++i) {
        const Known &known = known_places[i];
        if (!known.is_state || known.is_in_use || known.context != context) {
            continue;
        }
        const size_t common = common_prefix(known.tokens, tokens);
        const bool is_useful = common > 0 && (may_cut || common == known.tokens.size());
        if (is_useful && (!best || common > best->tokens)) {
            best = Match{i, common};
        }
    }
    return best;
}

PromptStore::Content PromptStore::read_locked(const Known &known) const {
    const std::optional<Place::Status> status = known.place.status();
    const std::optional<Header> header = status ? read_header(known.place, status->size) : std::nullopt;
    if (!header) {
        return {std::nullopt, status && status->size > 0};
    }
    PromptState state;
    state.context = header->context;
    state.tokens.resize(header->token_count);
    state.target = Block::of_size(header->target_size);
    state.draft = Block::of_size(header->draft_size);
    if (state.target.size != header->target_size || state.draft.size != header->draft_size) {
        return {std::nullopt, false};
    }
    const uint64_t token_size = state.tokens.size() * sizeof(int32_t);
    const uint64_t target_offset = sizeof *header + token_size;
    const bool is_whole =
        known.place.read(sizeof *header, state.tokens.data(), token_size) &&
        known.place.read(target_offset, state.target.bytes.get(), state.target.size) &&
        known.place.read(target_offset + state.target.size, state.draft.bytes.get(), state.draft.size) &&
        checksum_of(*header, state) == header->check;
    if (!is_whole || state.context != known.context || state.tokens != known.tokens) {
        return {std::nullopt, !is_whole};
    }
    return {std::move(state), false};
}

std::optional<PromptState> PromptStore::read(const Match &match) {
    const std::scoped_lock lock(mutex);
    Known &known = known_places.at(match.place);
    if (known.is_in_use || !known.place.lock(false)) {
        return std::nullopt;
    }
    Content content = read_locked(known);
    if (content.is_damaged) {
        known.place.unlock(); // Windows does not make a shared lock an exclusive one
        if (!known.place.lock(true)) {
            return std::nullopt;
        }
        content = read_locked(known); // another process may have written a state meanwhile
    }
    if (content.state) {
        known.place.write(0, MAGIC, sizeof MAGIC); // the same bytes: the file is now the most recently used one
    } else if (content.is_damaged) {
        known.place.clear();
        log_line("a damaged file in '" + folder + "' is emptied");
    }
    known.place.unlock();
    return std::move(content.state);
}

// Locks and empties the place; false if another process uses it, or has just written it.
bool PromptStore::take(const Known &known) {
    if (!known.place.lock(true)) {
        return false;
    }
    const std::optional<Place::Status> now = known.place.status();
    const bool is_as_seen = now && now->size == known.status.size && now->changed == known.status.changed;
    if (is_as_seen && (now->size == 0 || known.place.clear())) {
        return true;
    }
    known.place.unlock();
    return false;
}

// Returns a free place, locked, after which SIZE bytes more do not exceed the limit; null if that cannot be.
PromptStore::Known *PromptStore::make_room(uint64_t size) {
    std::vector<std::pair<int64_t, size_t>> oldest; // when it was used, and its index
    uint64_t sum = size;
    for (size_t i = 0; i < known_places.size(); ++i) {
        const Known &known = known_places[i];
        sum += known.status.size;
        if (!known.is_in_use) {
            oldest.emplace_back(known.is_state ? known.status.changed : INT64_MIN, i);
        }
    }
    std::sort(oldest.begin(), oldest.end());
    Known *chosen = nullptr;
    for (const auto &[used, index] : oldest) {
        if (chosen != nullptr && sum <= size_max) {
            break;
        }
        Known &known = known_places[index];
        if (!take(known)) {
            continue;
        }
        sum -= known.status.size;
        if (chosen == nullptr) {
            chosen = &known;
        } else {
            known.place.unlock();
        }
    }
    if (chosen != nullptr && sum > size_max) {
        chosen->place.unlock();
        return nullptr;
    }
    return chosen;
}

bool PromptStore::write(const PromptState &state) {
    const uint64_t size = sizeof(Header) + state.size();
    Known *chosen = nullptr;
    {
        const std::scoped_lock lock(mutex);
        look_at_all();
        chosen = size > size_max ? nullptr : make_room(size);
        if (chosen == nullptr) {
            return false;
        }
        chosen->is_in_use = true;
    }
    const bool is_written = write_file(chosen->place, state);
    if (!is_written) {
        chosen->place.clear();
    }
    chosen->place.unlock();
    const std::scoped_lock lock(mutex);
    chosen->is_in_use = false;
    return is_written;
}
