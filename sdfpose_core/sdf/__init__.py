"""Signed distance decoders: networks, training, meshing and sphere tracing."""
