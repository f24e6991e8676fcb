"""Where objects can be grasped: named frames of their parts, and antipodal grasp candidates."""
