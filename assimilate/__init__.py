"""Conversion of an APE to the native program of one platform and back, in place or as a copy."""
