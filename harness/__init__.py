"""The ground floor: runs systems and judges, and keeps what they answered in the run directory."""
