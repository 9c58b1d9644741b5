"""Fine-tuning: starting from the weights of another model, and freezing layers."""
