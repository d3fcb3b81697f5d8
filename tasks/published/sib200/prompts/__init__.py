"""The prompts of `sib200`: one YAML file per language."""
