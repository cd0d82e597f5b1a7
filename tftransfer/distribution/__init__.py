"""Models with copies on several devices, or on several machines."""
