"""Avemo: published audio-visual emotion recognition systems in JAX/Flax, with protocols that can be trusted."""
