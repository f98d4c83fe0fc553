"""Native programs into one file that runs on all of their platforms: an APE (ape(5))."""
