"""A few target labels: which rows to ask for, and what they decide."""
