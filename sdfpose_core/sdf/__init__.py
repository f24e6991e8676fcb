"""Signed distance decoders: network, training, meshing, sphere tracing."""
