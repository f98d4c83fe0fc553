"""One model over several hosts."""
