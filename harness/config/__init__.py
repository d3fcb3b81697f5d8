"""Configuration files: strict YAML, checked, with errors that name the line."""
