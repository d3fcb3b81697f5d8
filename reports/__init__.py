"""What it means: statistics, tables, figures, gate."""
