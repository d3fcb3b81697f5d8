"""Backends: one model in memory or behind a server, answering requests."""
