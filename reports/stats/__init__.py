"""Pure statistical functions: arrays in, frozen results out. No model, no file, no global randomness."""

from .means import Estimate, mean_interval

__all__ = ["Estimate", "mean_interval"]
