"""The local page of --mode=serve: recordings and live sound and pictures predicted in a browser."""
