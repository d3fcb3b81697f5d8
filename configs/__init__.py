"""Packaged configs."""
