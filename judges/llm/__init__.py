"""A language model as a judge: what it is asked, and how its answer is read."""
