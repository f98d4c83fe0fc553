"""ggml-metal for the programs for macOS."""
