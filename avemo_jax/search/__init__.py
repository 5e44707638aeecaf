"""Adaptive search of hyper-parameters: what may be tried, one study a fold, and who works on which round."""
