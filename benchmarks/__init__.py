"""Benchmarks: timings against other frameworks, and simulations of the statistics."""
