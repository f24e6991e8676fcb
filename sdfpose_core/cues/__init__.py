"""What colour tells beyond depth: category, which end is up, where the front is."""
