"""The whole check: a run, a policy, and maybe a baseline in; a result out."""

from __future__ import annotations

from pathlib import Path

from .baseline import against_baseline
from .measure import measure
from .policy import GatePolicy
from .sides import within_run
from .verdict import GateResult, decide


def check_run(
    run: Path,
    policy: GatePolicy,
    candidate: str | None = None,
    reference: str | None = None,
    baseline: Path | None = None,
) -> GateResult:
    """Whether a system of a run may pass: against the run's reference, or a system of a baseline run or CSV file.

    Raises UserError for names, policies and baselines that don't fit the run, StoreError for a damaged one.
    """
    if baseline is None:
        sources = within_run(run, candidate, reference, policy.max_off_target is not None)
    else:
        sources = against_baseline(run, baseline, candidate, reference, policy.suites)
    resolved = policy.resolve(sources.data.suites, sources.data.languages)
    rows, notes = measure(run, sources, resolved)
    return decide(sources.candidate, sources.reference, rows, resolved, notes)
