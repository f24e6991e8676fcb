"""The parts of the tracker: motion, shape and doubt of an object, and who is who."""
