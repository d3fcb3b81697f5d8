"""One YAML file per language: prompt id -> prompt."""
