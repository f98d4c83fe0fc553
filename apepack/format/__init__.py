"""The APE format: prologue, shell script, layout, and linking native programs into one file."""
