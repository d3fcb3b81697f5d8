"""The study in miniature: tune every arm, evaluate, report."""
