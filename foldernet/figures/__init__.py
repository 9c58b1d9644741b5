"""What a person looks at of a run: figures, as PNG files and in TensorBoard."""
