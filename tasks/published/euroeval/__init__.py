"""The study's EuroEval data sets, as lm-eval tasks with prompts of our own."""
