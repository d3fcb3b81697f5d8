"""Runs: plan, cells, judging, worker processes and manifest."""
