"""Measurements beside the product: timings against other frameworks, simulations of its statistics."""
