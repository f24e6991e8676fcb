"""Objects in one frame as signed distance fields, and queries of points against them."""
