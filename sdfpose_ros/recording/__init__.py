"""The recorder node: a camera and the results of a pose node as one file to share."""
