"""The best model that a time budget buys."""
