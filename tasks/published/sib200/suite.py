"""Topic classification of FLORES sentences in all 15 languages, with prompts of our own."""

from pathlib import Path

from ..suite import HubSuite

sib200 = HubSuite(Path(__file__).parent / "datasets.yaml")
