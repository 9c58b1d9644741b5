"""The generator as a replacement for Keras's: the same arguments, arrays and data frames too."""
