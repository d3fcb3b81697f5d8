"""Commands that read a run and need no model."""
