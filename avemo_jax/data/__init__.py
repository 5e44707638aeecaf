"""Prepared sets as arrays on devices or as a stream."""
