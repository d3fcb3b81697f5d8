"""Suites whose data are published: which task and which data set serve each language."""
