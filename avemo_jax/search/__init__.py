"""Adaptive search of hyper-parameters: search space, one study a fold, and leases that divide the rounds over processes."""
