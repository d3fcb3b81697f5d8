"""A language model as a judge: prompt, calls, and reading of its verdict."""
