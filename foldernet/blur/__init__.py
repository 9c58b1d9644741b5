"""The blur mode: kernels, spectra, the recipe of training, the reference, scores, and the task."""
