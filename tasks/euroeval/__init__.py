"""The study's EuroEval data sets, as lm-eval tasks with prompts of our own."""

from pathlib import Path

from ..hub_suite import HubSuite

euroeval = HubSuite(Path(__file__).parent / "datasets.yaml")
