"""Packing: a runtime, a model, default arguments and further files become one llamafile."""
