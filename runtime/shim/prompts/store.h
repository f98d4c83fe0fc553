// States in a folder of the user alone, whose files together have a limited size.
//
// A file has a header, the tokens, and the bytes for the engine. The header is written last, and contains a checksum of
// everything. A file that is empty, or has no header, is free.

#pragma once

#include "prompts/place.h"
#include "prompts/state.h"

#include <mutex>
#include <optional>
#include <string>
#include <vector>

class PromptStore {
  public:
    struct Match {
        size_t place;
        size_t tokens; // at the beginning of the wanted ones, which the state saves
    };

    // Keeps at most SIZE_MAX bytes in PLACES, which are in FOLDER.
    PromptStore(const std::vector<Place> &places, std::string folder, uint64_t size_max);

    // The state of CONTEXT that saves the most of TOKENS; nothing if there is none. If MAY_CUT is not set, all tokens
    // of the state must be at the beginning of TOKENS.
    std::optional<Match> find(uint64_t context, const std::vector<int32_t> &tokens, bool may_cut);

    // Nothing if the state is damaged, and then removed, or if another process writes it.
    std::optional<PromptState> read(const Match &match);

    // Removes the states that were not used for the longest time until there is room. Returns whether STATE was
    // written.
    bool write(const PromptState &state);

    const std::string &path() const { return folder; }
    uint64_t limit() const { return size_max; }

  private:
    // What is known of a place; of its tokens, as long as its status does not change.
    struct Known {
        explicit Known(const Place &opened) : place(opened) {}

        Place place;
        Place::Status status{};
        bool is_state = false;
        bool is_in_use = false; // by a thread of this process
        uint64_t context = 0;
        std::vector<int32_t> tokens;
    };

    // No state and no damage: another process has written a state, or there is no memory for this one.
    struct Content {
        std::optional<PromptState> state;
        bool is_damaged;
    };

    void look(Known &known) const;
    void look_at_all();
    Content read_locked(const Known &known) const;
    static bool take(const Known &known);
    Known *make_room(uint64_t size);

    std::mutex mutex;
    std::vector<Known> known_places;
    std::string folder;
    uint64_t size_max;
};
