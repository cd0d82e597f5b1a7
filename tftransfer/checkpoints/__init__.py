"""Training that survives being killed: its whole state on disk, and back."""
