"""Which of two answers is better."""
