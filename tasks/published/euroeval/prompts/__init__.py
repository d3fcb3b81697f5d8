"""The prompts of `euroeval`: one YAML file per language."""
