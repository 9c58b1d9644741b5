"""Runs that survive interruptions: checkpoints, signals, and `--resume`."""
