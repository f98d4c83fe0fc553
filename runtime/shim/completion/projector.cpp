#include "completion/projector.h"

#include "base/user_error.h"
#include "engine/engine_log.h"
#include "resolve/model.h"

void check_projector(const common_params &params) {
    if (params.mmproj.path.empty()) {
        throw UserError("an image needs a projector, which belongs to the weights (often called mmproj); name it with"
                        " --mmproj FILE.gguf");
    }
    check_model(params.mmproj.path);
}

Projector::Projector(const common_params &params, const llama_model *model) : name(params.mmproj.path) {
    mtmd_context_params options = mtmd_context_params_default();
    options.use_gpu = params.mmproj_use_gpu;
    options.device = params.mmproj_device;
    options.print_timings = false;
    options.n_threads = params.cpuparams.n_threads;
    options.flash_attn_type = params.flash_attn_type;
    options.warmup = false;
    options.image_min_tokens = params.image_min_tokens;
    options.image_max_tokens = params.image_max_tokens;
    projector.reset(mtmd_init_from_file(name.c_str(), model, options));
    if (projector == nullptr) {
        throw UserError("cannot load the projector '" + name + "': " + first_engine_error());
    }
    if (!mtmd_support_vision(projector.get())) {
        throw UserError("the projector '" + name + "' is not for images");
    }
}

mtmd::input_chunks_ptr Projector::tokenize(const Prompt &prompt) {
    std::vector<mtmd::bitmap> images;
    std::vector<mtmd_input_text> texts;
    std::vector<mtmd_input_part> parts;
    std::vector<const mtmd_input_part *> pointers;
    images.reserve(prompt.size()); // `parts` points into these
    texts.reserve(prompt.size());
    parts.reserve(prompt.size());
    for (const PromptPart &part : prompt) {
        if (part.is_image) {
            images.push_back(decode(part.image));
            parts.push_back({nullptr, images.back().ptr.get()});
        } else {
            texts.push_back({part.text.data(), part.text.size(), false, true});
            parts.push_back({&texts.back(), nullptr});
        }
        pointers.push_back(&parts.back());
    }
    mtmd::input_chunks_ptr chunks(mtmd_input_chunks_init());
    if (mtmd_tokenize_from_parts(projector.get(), chunks.get(), pointers.data(), pointers.size(), true) != 0) {
        throw UserError("the projector '" + name + "' cannot prepare the images: " + first_engine_error());
    }
    const size_t count = mtmd_input_chunks_size(chunks.get());
    if (count == 0 ||
        mtmd_input_chunk_get_type(mtmd_input_chunks_get(chunks.get(), count - 1)) != MTMD_INPUT_CHUNK_TYPE_TEXT) {
        throw UserError("the prompt ends with an image; say with -p what to do with it");
    }
    return chunks;
}
