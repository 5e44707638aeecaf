"""Networks (Flax Linen), one family a file.

One letter names a dimension in all of them: B clips, T steps, F frames, S samples, M mel bins, H W C, D features, K classes,
A heads, R trials. Masks are boolean, True where a step is real; a padded step changes no output.
"""
