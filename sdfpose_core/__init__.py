"""sdfpose without ROS: geometry, shapes, networks, estimator, tracker, evaluation."""
