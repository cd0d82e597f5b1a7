"""Train, evaluate and predict above the frozen part, on rows computed once."""
