"""Fine-tuning that stays near the pretrained weights, one idea per file."""
