"""Protocols: named folds, the selection rule, and the leak audit."""
