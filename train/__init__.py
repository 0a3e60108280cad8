"""Makes encoders: data preparation, losses, recipes, the training loop, model cards."""
