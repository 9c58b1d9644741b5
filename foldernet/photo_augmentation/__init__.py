"""Augmentation for photographs: crops, colors, erasing, and images mixed with each other."""
