"""The suite `locale` as lm-eval tasks: one YAML file per family; the language is given when it is loaded."""
