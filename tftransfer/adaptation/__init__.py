"""Whether adapting to a domain without labels helps, decided without them."""
