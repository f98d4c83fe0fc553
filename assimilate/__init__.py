"""An APE into the native program of one platform, in place or as a copy, and back."""
