// The projector (mmproj) of a model, which converts images into the model's embeddings. Errors are UserError.

#pragma once

#include "common.h"
#include "completion/prompt.h"
#include "mtmd.h"

#include <string>
#include <vector>

class Projector {
  public:
    // Loads the one that PARAMS name, for MODEL.
    Projector(const common_params &params, const llama_model *model);

    // Decodes the images of PROMPT, which must end with text, and returns it in the engine's form.
    mtmd::input_chunks_ptr tokenize(const Prompt &prompt);

    mtmd_context *context() const { return projector.get(); }

  private:
    std::string name;
    mtmd::context_ptr projector;
};

// Throws UserError if PARAMS name no projector, or one that cannot be opened.
void check_projector(const common_params &params);
