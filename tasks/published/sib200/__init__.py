"""Topic classification of FLORES sentences in all 15 languages, with prompts of our own."""
