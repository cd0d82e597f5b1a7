"""Image models written for other runtimes, and what they give and cost there."""
