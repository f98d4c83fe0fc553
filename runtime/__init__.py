"""Runtime builds: make them, find them, know what they are."""
