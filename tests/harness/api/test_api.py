"""One folder holds all that the author of a plug-in needs, and costs nothing to import."""

from __future__ import annotations

import subprocess
import sys

from croco_eval.harness import api


def test_the_contract_is_imported_without_a_model_library():
    code = "import sys, croco_eval.harness.api\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"torch", "pandas", "numpy", "pyarrow", "transformers", "rich"} & set(done.stdout.split())


def test_every_name_of_the_contract_is_there_once():
    assert len(set(api.__all__)) == len(api.__all__)
    assert all(hasattr(api, x) for x in api.__all__)
