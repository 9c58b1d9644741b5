"""Figures of the blur mode: kernels and their transfer functions."""

import numpy as np
from matplotlib.figure import Figure

from foldernet.blur.kernel_scores import mtf_profile
from foldernet.blur.kernels import centered
from foldernet.blur.spectrum import frequency_rings

# All three are seen where they are one.
STYLES = {"true": {"lw": 5, "color": "0.65"}, "learned": {}, "reference": {"ls": "--"}}
SMALLEST_MTF = 1e-10  # float32 learns nothing below


def comparison(kernels: dict[str, np.ndarray]) -> Figure:
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


def mtf(kernels: dict[str, np.ndarray], power: np.ndarray, limit: float, sentence: str) -> Figure:
    """The modulation transfer functions, above the images' power; the identifiable band shaded.

    Args:
        kernels: as for `comparison`.
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
