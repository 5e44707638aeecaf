"""What makes a published system what it is, on any corpus that has its modalities."""
