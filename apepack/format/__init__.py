"""The APE format (ape(5)): prologue, shell script, layout, linking of native programs, and reading an APE back.

It is independent of models: `apepack.packing` imports it, and no module here imports that package.
"""
