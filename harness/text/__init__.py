"""Text: languages, language identification, what a reader sees of an answer, templates."""
