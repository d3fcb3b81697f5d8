"""Models: where weights come from, what identifies them, and how adapters were tuned."""
