"""Predictions for other programs, as JSON and CSV."""
