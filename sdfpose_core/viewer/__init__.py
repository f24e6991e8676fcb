"""The viewer in the browser, and the recordings and results that it opens."""
