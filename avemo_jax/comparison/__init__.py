"""Systems side by side on the same clips: runs of this project, and predictions of other people's systems."""
