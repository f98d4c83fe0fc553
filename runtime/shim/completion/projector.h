// What lets a model see: a projector (mmproj) turns images into what the model takes for tokens.

#pragma once

#include "common.h"
#include "completion/prompt.h"
#include "mtmd.h"

#include <string>
#include <vector>

class Projector {
  public:
    // The one that PARAMS name, for MODEL. Errors are std::runtime_error.
    Projector(const common_params &params, const llama_model *model);

    // PROMPT as the engine will read it. Its images are decoded; it ends with text.
    mtmd::input_chunks_ptr tokenize(const Prompt &prompt);

    mtmd_context *context() const { return projector.get(); }

  private:
    std::string name;
    mtmd::context_ptr projector;
};

// False, with a sentence in PROBLEM, if PARAMS name no projector that can be opened.
bool check_projector(const common_params &params, std::string &problem);
