"""GO, NO-GO or INCONCLUSIVE: the gate that a CI job asks. The rule and the policy are in docs/gate.md."""
