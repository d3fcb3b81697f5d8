"""The pair rule on arrays: which two candidates of a pool become chosen and rejected."""
