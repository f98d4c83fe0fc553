#include "completion/context_window.h"

#include "base/user_error.h"

#include <algorithm>

ContextWindow::ContextWindow(const common_params &params, llama_context *context)
    : memory(llama_get_memory(context)), capacity(llama_n_ctx(context)),
      shifts(params.ctx_shift && params.n_predict != -2 && memory != nullptr && llama_memory_can_shift(memory)),
      group_factor(params.grp_attn_n), group_width(params.grp_attn_w) {
    if (memory == nullptr) {
        throw UserError("this model does not generate text");
    }
    if (group_factor < 1 || group_width < 1 || group_width % group_factor != 0) {
        throw UserError("-gaw must be a multiple of -gan, and both positive (got " + std::to_string(group_width) +
                        " and " + std::to_string(group_factor) + ")");
    }
    if (group_factor > 1 && !llama_memory_can_shift(memory)) {
        throw UserError("-gan cannot be used: this model's memory cannot be moved");
    }
}

void ContextWindow::keep(int count, size_t present) {
    kept = count < 0 ? present : std::min(static_cast<size_t>(count), present);
}

bool ContextWindow::make_room(size_t count) {
    if (group_factor > 1) {
        extend();
    }
    while (taken + count > capacity) {
        if (group_factor > 1 || !shifts || !discard()) {
            return false;
        }
    }
    return true;
}

// Discards the older half of the unprotected tokens, so that the next call is not needed soon.
bool ContextWindow::discard() {
    const size_t count = (taken - std::min(taken, kept) + 1) / 2;
    const auto start = static_cast<llama_pos>(kept);
    const auto end = static_cast<llama_pos>(kept + count);
    if (count == 0 || !llama_memory_seq_rm(memory, 0, start, end)) {
        return false;
    }
    llama_memory_seq_add(memory, 0, end, static_cast<llama_pos>(taken), start - end);
    taken -= count;
    moved = true;
    return true;
}

// Self-extend: distant tokens share positions, so that more tokens fit into the range that the model was trained on.
void ContextWindow::extend() {
    int end = llama_memory_seq_pos_max(memory, 0) + 1;
    while (end >= group_start + group_width) {
        const int groups = group_factor * group_start / group_width;
        const int saved = group_width / group_factor * (group_factor - 1);
        const int before = groups * saved;
        const int after = group_width / group_factor - before - group_width;
        llama_memory_seq_add(memory, 0, group_start, end, before);
        llama_memory_seq_div(memory, 0, group_start + before, group_start + before + group_width, group_factor);
        llama_memory_seq_add(memory, 0, group_start + before + group_width, end + before, after);
        end -= saved;
        group_start += group_width / group_factor;
        moved = true;
    }
}
