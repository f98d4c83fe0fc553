"""Changes of existing llamafiles: another runtime before the same weights, other default arguments, other files."""
