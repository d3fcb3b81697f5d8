"""Suite `open`: 40 parallel open-ended prompts, written by hand in each of the 15 languages."""
