"""Tables: one module per CSV file of a run."""
