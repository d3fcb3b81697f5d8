"""The whole check: a run, a policy, and maybe a baseline in; a result out."""

from __future__ import annotations

from pathlib import Path

from ..records.run_data import RunData
from .baseline import against_baseline
from .measure import measure
from .pair import within_run
from .policy import GatePolicy
from .verdict import GateResult, decide


def check_run(
    run: RunData,
    policy: GatePolicy,
    candidate: str | None = None,
    reference: str | None = None,
    baseline: Path | None = None,
) -> GateResult:
    """Whether a system of a run may pass: against the run's reference, or a system of a baseline run or CSV file.

    Raises UserError for names, policies and baselines that don't fit the run, StoreError for a damaged one.
    """
    if baseline is None:
        pair = within_run(run, candidate, reference, policy.max_off_target is not None)
    else:
        pair = against_baseline(run, baseline, candidate, reference, policy.suites)
    resolved = policy.resolve(pair.data.suites, pair.data.languages)
    rows, notes = measure(run, pair, resolved)
    return decide(pair.candidate, pair.reference, rows, resolved, notes)
