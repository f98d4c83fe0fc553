"""GGUF: the header codec, arrays, and the tables of tensor types and architectures."""
