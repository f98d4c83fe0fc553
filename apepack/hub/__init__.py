"""The Hugging Face Hub: publishing llamafiles, their model cards, and models from there."""
