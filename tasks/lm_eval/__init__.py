"""The gateway to lm-eval, and suites of one's own lm-eval tasks."""
