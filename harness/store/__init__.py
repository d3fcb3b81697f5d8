"""Files that survive a crash: logs, sealed Parquet, locks and fingerprints."""
