"""Figures of the blur mode: kernels, their transfer functions, and what they leave."""

import numpy as np
from matplotlib.figure import Figure

from foldernet.blur.kernel_scores import mtf_profile
from foldernet.blur.kernels import centered
from foldernet.blur.spectrum import frequency_rings

# All three are seen where they are one.
STYLES = {"true": {"lw": 5, "color": "0.65"}, "learned": {}, "reference": {"ls": "--"}}
SMALLEST_MTF = 1e-10  # float32 learns nothing below
SHOWN_EPOCHS = 8  # in the figure of growth; of more, as many are picked evenly


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
    titled = [(f"{name}, at most {np.abs(k).max():.2g}", k, True) for name, k in shown.items()]
    return _mosaic((10, 3.9), titled, f"Kernels, {size}x{size} pixels")


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


def residual(sharp: np.ndarray, blurred: np.ndarray, predicted: np.ndarray) -> Figure:
    """A held-out image, its blurred version, what the filter makes of it, and the difference.

    Args:
        sharp, blurred, predicted: (height, width, 1), 0..1.
    """
    images = {"held out": sharp, "blurred": blurred, "predicted": predicted}
    shown = [(title, pixels, False) for title, pixels in images.items()]
    shown += [("predicted - blurred", predicted - blurred, True)]
    return _mosaic((11, 3.3), shown, "What the filter makes of an image")


def growth(kernels: list) -> Figure:
    """The filter after each epoch, on one scale.

    Args:
        kernels: float (size, size), one for each epoch so far; lists, of a run that was resumed.
    """
    epochs = np.unique(np.linspace(0, len(kernels) - 1, SHOWN_EPOCHS).astype(int))
    shown = [(f"epoch {epoch + 1}", kernels[epoch], True) for epoch in epochs]
    return _mosaic((1.7 * max(len(epochs), 3), 2.4), shown, "The filter as it grows")


def _mosaic(size: tuple, shown: list[tuple], heading: str) -> Figure:
    """Pictures in a row, each with its title, and the scale of the last one.

    Args:
        size: of the figure in inches.
        shown: of each picture its title, its pixels, and whether these have two signs, and one
            scale with all others that have; else it shows 0..1 in gray.
        heading: over all of them.
    """
    figure = Figure(size, layout="constrained")
    figure.suptitle(heading, fontsize=11)
    axes = figure.subplots(1, len(shown), squeeze=False)
    reach = max(np.abs(pixels).max() for _, pixels, signed in shown if signed)
    for axis, (title, pixels, signed) in zip(axes.flat, shown, strict=True):
        colors, limits = ("RdBu_r", (-reach, reach)) if signed else ("gray", (0, 1))
        drawn = axis.imshow(pixels, colors, clim=limits)
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
    figure.colorbar(drawn, ax=axes[0, -1], shrink=0.8)
    return figure
