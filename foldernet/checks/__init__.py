"""What is wrong with the images of a dataset: found before training, or by check.py."""
