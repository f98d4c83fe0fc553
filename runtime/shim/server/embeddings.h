// Chat and embeddings from one server.

#pragma once

struct common_params;

// Sets PARAMS, whose model is a file or a member, so that the server answers requests for embeddings too.
void enable_embeddings(common_params &params);
