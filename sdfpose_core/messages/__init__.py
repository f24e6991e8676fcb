"""ROS messages read as plain objects: by fields alone, whichever package their classes are from."""
