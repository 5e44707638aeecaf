"""Experiments: one file a corpus, the system as its argument."""
