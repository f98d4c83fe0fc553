"""The parts of ggml-vulkan that are made before it is compiled: its shaders as SPIR-V, and Vulkan's headers."""
