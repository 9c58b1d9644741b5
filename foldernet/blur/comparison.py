"""How a learned kernel compares with the true one, in the words of optics and in figures."""

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import center_of_mass

from foldernet.blur.kernels import centered
from foldernet.blur.spectrum import frequency_rings, half_plane_counts, otf

# All three are seen where they are one.
STYLES = {"true": {"lw": 5, "color": "0.65"}, "learned": {}, "reference": {"ls": "--"}}
SMALLEST_MTF = 1e-10  # float32 learns nothing below


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


def kernel_figure(kernels: dict[str, np.ndarray]) -> Figure:
    """Kernels, and the difference of the learned one from the true one, on one scale.

    Args:
        kernels: name -> float (size, size), odd; "learned", "reference", and "true" where it is
            known, else the reference takes its place.
    """
    size = max(map(len, kernels.values()))
    against = "true" if "true" in kernels else "reference"
    shown = {name: centered(kernels[name], size) for name in (against, "learned")}
    shown["difference"] = shown["learned"] - shown[against]
    reach = max(np.abs(kernel).max() for kernel in shown.values())
    figure = Figure((10, 3.9), layout="constrained")
    figure.suptitle(f"Kernels, {size}x{size} pixels", fontsize=11)
    axes = figure.subplots(1, len(shown))
    for axis, (name, kernel) in zip(axes, shown.items(), strict=True):
        drawn = axis.imshow(kernel, "RdBu_r", clim=(-reach, reach))
        axis.set_title(f"{name}, at most {np.abs(kernel).max():.2g}", fontsize=10)
        axis.set_axis_off()
    figure.colorbar(drawn, ax=axes[-1], shrink=0.8)
    return figure


def mtf_figure(
    kernels: dict[str, np.ndarray], power: np.ndarray, limit: float, sentence: str
) -> Figure:
    """The modulation transfer functions, above the images' power; the identifiable band shaded.

    Args:
        kernels: as for `kernel_figure`.
        power: float (side, side // 2 + 1), the images' power spectrum.
        limit: end of the identifiable band in cycles/pixel.
        sentence: what can be known, as a title.
    """
    figure = Figure((7, 5.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for name, kernel in kernels.items():
        frequencies, modulus = mtf_profile(kernel)
        above.semilogy(frequencies, np.maximum(modulus, SMALLEST_MTF), label=name, **STYLES[name])
    above.set(ylabel="MTF", title=sentence.replace("; ", ";\n"))
    rings = frequency_rings(power)[: len(power) // 2 + 1]
    below.semilogy(np.arange(len(rings)) / len(power), rings, color="tab:green")
    below.set(xlabel="cycles/pixel", ylabel="power of the images", xlim=(0, 0.5))
    for axis in (above, below):
        axis.axvspan(0, min(limit, 0.5), alpha=0.15, label="identifiable")
    above.legend(loc="lower left")
    return figure


def _centroid(kernel):
    weight = np.where(kernel > 0.1 * kernel.max(), kernel, 0.0)
    return np.array(center_of_mass(weight)) - (len(kernel) - 1) / 2
