"""What is asked, in each language."""
