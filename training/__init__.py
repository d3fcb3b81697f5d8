"""Thin CroCo: sample, score, pair, tune."""
