"""Container images made from llamafiles: https://github.com/opencontainers/image-spec."""
