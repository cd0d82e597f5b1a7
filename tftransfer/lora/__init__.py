"""LoRA: frozen weights, and beside them thin factors that learn."""
