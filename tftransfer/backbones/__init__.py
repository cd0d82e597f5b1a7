"""Pretrained networks behind one interface: raw input to features."""
