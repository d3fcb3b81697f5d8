"""The languages of `sib200` as lm-eval tasks: one YAML file each, written by `generate.py`."""
