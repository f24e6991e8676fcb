"""What all nodes share: processes, workers, parameters, topics and message conversion."""
