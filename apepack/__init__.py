"""Links native programs into an APE, one file that runs on all of their platforms (ape(5)), and packs models."""
