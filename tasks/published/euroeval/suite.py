"""The study's EuroEval data sets, as lm-eval tasks with prompts of our own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ....harness.api.suite import SuiteOptions
from ..suite import HubSuite
from .punkt import Punkt


class EuroEvalSuite(HubSuite):
    """The suite from its file, and the resource that lm-eval's IFEval checker needs."""

    def resources(self, languages: Sequence[str], options: SuiteOptions) -> Sequence[Punkt]:
        """NLTK's punkt model, where the data sets that are asked hold IFEval."""
        kinds = {x.kind for language in languages for x in self.entries(language, options)}
        return [Punkt()] if "instruction_following" in kinds else []


euroeval = EuroEvalSuite(Path(__file__).parent / "datasets.yaml")
