"""Rows computed once and kept on disk, found again by the key of what made them."""
