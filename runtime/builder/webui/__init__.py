"""The server's web page, built from the engine's sources with npm."""
