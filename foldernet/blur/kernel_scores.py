"""How a learned kernel compares with the true one, in the words of optics."""

import numpy as np
from scipy.ndimage import center_of_mass

from foldernet.blur.kernels import centered
from foldernet.blur.spectrum import frequency_rings, half_plane_counts, otf


def relative_l2(kernel, true):
    """Norm of the difference over the norm of the true kernel; sizes are aligned by center."""
    size = max(len(kernel), len(true))
    kernel, true = centered(kernel, size), centered(true, size)
    return float(np.linalg.norm(kernel - true) / np.linalg.norm(true))


def centroid_shift_pixels(kernel, true=None):
    """Distance in pixels from the kernel's centroid to the true one's, or to its own center.

    Pixels below a tenth of the peak don't count: far from the center their noise would weigh most.
    """
    return float(np.linalg.norm(_centroid(kernel) - (0 if true is None else _centroid(true))))


def mtf_profile(kernel):
    """Modulation transfer function averaged over rings of frequency.

    Returns:
        frequencies: float64 (n,) in cycles per pixel, 0 to 0.5.
        mtf: float64 (n,), modulus of the OTF over its value at zero.
    """
    side = max(512, len(kernel) + 1)
    modulus = np.abs(otf(kernel, side))
    mtf = frequency_rings(modulus)[: side // 2 + 1]
    return np.arange(len(mtf)) / side, mtf / modulus[0, 0]


def in_band_otf_error(kernel, true, band):
    """Relative L2 error of the OTF over the frequencies the images determine.

    Args:
        kernel: float (size, size), odd: the learned filter.
        true: float (size, size), odd: the true kernel.
        band: bool (side, side // 2 + 1) of `identifiable_band`.

    Returns:
        float; NaN when the band is empty.
    """
    learned, sought = (otf(each, len(band))[band] for each in (kernel, true))
    if not len(sought):
        return float("nan")
    return float(np.linalg.norm(learned - sought) / np.linalg.norm(sought))


def attainable_l2(true, standard_error):
    """The least relative L2 error that can be expected if the OTF is known to `standard_error`.

    It is what Wiener's filter leaves, which weighs each frequency by the true kernel's own power
    against that error. An estimate that doesn't know the kernel does worse.

    Args:
        true: float (size, size), odd: the true kernel.
        standard_error: float (side, side // 2 + 1) of `spectrum.standard_error`.

    Returns:
        float, 0..1.
    """
    signal = np.abs(otf(true, len(standard_error))) ** 2
    power = half_plane_counts(len(standard_error)) * signal
    return float(np.sqrt(np.average(1 / (1 + signal / standard_error**2), weights=power)))


def _centroid(kernel):
    weight = np.where(kernel > 0.1 * kernel.max(), kernel, 0.0)
    return np.array(center_of_mass(weight)) - (len(kernel) - 1) / 2
