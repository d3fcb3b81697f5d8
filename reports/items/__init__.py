"""Item values of all systems side by side."""
