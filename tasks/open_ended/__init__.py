"""Suites of open-ended prompts, whose answers judges compare."""
