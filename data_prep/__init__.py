"""From a corpus on disk to prepared sets: layouts and labels, decoding, views, prepared sets."""
