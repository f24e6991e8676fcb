"""Where objects offer to be grasped: named frames of their parts, and antipodal grasp candidates."""
