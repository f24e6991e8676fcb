"""Reports for people: one HTML file with tables, plots and pictures."""
