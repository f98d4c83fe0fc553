"""Packing: combines a runtime, a model, default arguments and further files into one llamafile.

The steps of `pack`: read the inputs, check them, link or copy the runtime, append the members, read the result back,
and rename it to the output.
"""
