"""The planning scene node: objects of a pose node as collision objects of MoveIt."""
