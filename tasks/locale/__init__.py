"""Suites `locale` and `locale-open`: names and conventions of each language, from CLDR."""
