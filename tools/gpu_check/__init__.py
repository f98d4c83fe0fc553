"""The check of a machine with a GPU, for machines without a network: one file to copy there, one command to run.

`bundle` makes the file here; the other modules run there, on any Python from 3.10 on, and import nothing else.
"""
