"""The CroCo authors' own JSONL files: scored generations in, training files out."""
