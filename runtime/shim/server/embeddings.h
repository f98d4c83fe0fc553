// One server for chat and embeddings.

#pragma once

struct common_params;

// Makes a server with PARAMS, whose model is a file or a member, answer with embeddings too.
void offer_embeddings(common_params &params);
