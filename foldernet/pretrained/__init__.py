"""Pretrained networks: when they are chosen, and the solution of their last layer."""
