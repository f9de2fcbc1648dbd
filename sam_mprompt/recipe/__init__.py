"""Recipes: what a training is."""
