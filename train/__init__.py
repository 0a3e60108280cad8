"""Makes an encoder: preparation, data, losses, recipes, loop, model card."""
