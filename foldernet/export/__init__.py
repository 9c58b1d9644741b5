"""Trained models for other programs, and for those that can't wait for TensorFlow."""
