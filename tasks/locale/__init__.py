"""Suites `locale` and `locale-open`: does a model know the language's own names and conventions?"""
