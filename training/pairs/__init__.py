"""Contrastive pairs from scored candidates: the pair rule, and the datasets it reads and writes."""
