"""Evaluation of a running graph: evaluator node, recorder, node benchmark and demo."""
