"""Work shared out over processes or machines by Ray."""
