"""Batch prediction: a folder or a table through an exported model, into a file."""
