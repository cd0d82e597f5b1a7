"""Whether a set-up is sound: silent mistakes, found by what they do."""
