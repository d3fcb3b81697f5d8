"""Tasks that lm-eval has, but that can't be read from its own files with the libraries of today."""
