"""Experiments: one file for each corpus; the system is its argument."""
