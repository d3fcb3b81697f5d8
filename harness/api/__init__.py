"""The contract: what suites, judges, backends and corpora are given and give back. A plug-in author reads this."""
