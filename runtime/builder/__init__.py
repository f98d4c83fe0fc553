"""Builds the runtime: the engine's source and patches, the shim, the loaders, the web page, and their cache."""
