"""Comparison of systems on the same clips: runs of this project and predictions of other systems."""
