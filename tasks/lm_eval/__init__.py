"""The gateway to lm-eval, and the suite of a user's own lm-eval tasks."""
