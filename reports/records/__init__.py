"""The one door to a run directory, and the rules it is read by."""
