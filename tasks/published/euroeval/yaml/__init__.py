"""The data sets of `euroeval` as lm-eval tasks: one YAML file each, written by `generate.py`."""
