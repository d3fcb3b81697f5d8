"""The stages of CroCo: each reads a dataset and writes a dataset (Parquet and what made it), and resumes."""
