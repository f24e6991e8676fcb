"""RGB-D cameras of several makers behind one interface."""
