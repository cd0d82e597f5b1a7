"""The model card: one page that says what an export is, how good, and its limits."""
