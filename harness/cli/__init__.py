"""The command line, and the commands `run`, `judge`, `ls` and `prefetch`."""
