"""Recipes: what is trained, on what, with which losses; one module each."""
