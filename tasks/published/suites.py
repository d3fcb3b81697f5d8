"""Suites from the hub, one file each: which lm-eval task and which data set serve a language."""

from pathlib import Path

from .suite import HubSuite

_FOLDER = Path(__file__).parent

belebele = HubSuite(_FOLDER / "belebele.yaml")
global_mmlu = HubSuite(_FOLDER / "global-mmlu.yaml")
global_piqa = HubSuite(_FOLDER / "global-piqa.yaml")
include = HubSuite(_FOLDER / "include.yaml")
m_arc = HubSuite(_FOLDER / "m-arc.yaml")
m_hellaswag = HubSuite(_FOLDER / "m-hellaswag.yaml")
m_mmlu = HubSuite(_FOLDER / "m-mmlu.yaml")
mgsm = HubSuite(_FOLDER / "mgsm.yaml")
multiblimp = HubSuite(_FOLDER / "multiblimp.yaml")
sib200 = HubSuite(_FOLDER / "sib200" / "datasets.yaml")
xnli = HubSuite(_FOLDER / "xnli.yaml")
