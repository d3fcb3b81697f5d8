"""A model and data hub on loopback, for tests."""
