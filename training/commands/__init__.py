"""The commands ``croco-eval train`` and ``croco-eval nano``."""
