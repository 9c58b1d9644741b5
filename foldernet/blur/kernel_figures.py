"""Figures of the blur mode: kernels, their profiles and transfer functions, and what they leave."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from foldernet import terminal
from foldernet.blur.kernel_scores import mtf_profile
from foldernet.blur.kernels import centered
from foldernet.blur.spectrum import frequency_radius, ring_means

STYLES = {
    "true": {"color": "0.65", "linewidth": 5, "solid_capstyle": "round"},
    "learned": {"color": "tab:blue", "linewidth": 1.8},
    "reference": {"color": "tab:orange", "linewidth": 1.4, "linestyle": (0, (4, 3))},
}
BAND_COLOR = "#e3f1e3"
SMALLEST_MTF = 1e-10  # float32 learns nothing below
SHOWN_EPOCHS = 8  # in the figure of growth; of more, as many are picked evenly


def save_kernel(kernel: np.ndarray, path: Path) -> None:
    """Write a kernel as a gray PNG: its peak white, zero and less black."""
    shades = np.clip(kernel / max(kernel.max(), np.finfo(float).tiny), 0, 1)
    Image.fromarray(np.rint(255 * shades).astype(np.uint8)).save(path)


def pairs(sharp: np.ndarray, blurred: np.ndarray, count: int = 4) -> Figure:
    """The first pairs of a batch, sharp above blurred.

    Args:
        sharp, blurred: (n, height, width, 1), 0..1.
        count: pairs to show, if there are as many.
    """
    count = min(count, len(sharp))
    figure = Figure((2.2 * count + 0.4, 4.9), layout="constrained")
    figure.suptitle("Training pairs: sharp, and blurred", fontsize=11)
    axes = figure.subplots(2, count, squeeze=False)
    for axis, image in zip(axes.flat, [*sharp[:count], *blurred[:count]], strict=True):
        _picture(axis, image)
    return figure


def comparison(kernels: dict[str, np.ndarray]) -> Figure:
    """Kernels, and the difference of the learned one from the true one, on one scale.

    Args:
        kernels: name -> float (size, size), odd; "learned", and "true" where it is known, else the
            difference is that from the reference.
    """
    against = "true" if "true" in kernels else "reference"
    size = max(map(len, kernels.values()))
    shown = {name: centered(kernels[name], size) for name in (against, "learned")}
    shown["difference"] = shown["learned"] - shown[against]
    peak = max(np.abs(kernel).max() for kernel in shown.values())
    figure = Figure((10, 3.7), layout="constrained")
    extent = size / 2 * np.array([-1, 1, 1, -1])
    for axis, (name, kernel) in zip(figure.subplots(1, 3), shown.items(), strict=True):
        drawn = axis.imshow(kernel, cmap="RdBu_r", vmin=-peak, vmax=peak, extent=extent)
        axis.set_title(f"{name}, at most {np.abs(kernel).max():.2g}", fontsize=10)
        axis.set_xlabel("pixels", fontsize=9)
        axis.tick_params(labelsize=8)
    figure.colorbar(drawn, ax=figure.axes, shrink=0.85, label="weight")
    return figure


def radial_profile(kernels: dict[str, np.ndarray]) -> Figure:
    """Kernels averaged over rings about the center, and below it how far each is from the true one.

    Args:
        kernels: as for `comparison`.
    """
    known = "true" in kernels
    figure = Figure((7, 5.6 if known else 3.8), layout="constrained")
    axes = figure.subplots(2 if known else 1, 1, sharex=True, squeeze=False)[:, 0]
    size = max(map(len, kernels.values()))
    kernels = {name: centered(kernel, size) for name, kernel in kernels.items()}
    offsets = np.arange(size) - size // 2
    radius = np.hypot(offsets[:, None], offsets[None, :])

    def rings(values):
        return ring_means(values, radius)[: size // 2 + 1]

    for name, kernel in kernels.items():
        axes[0].plot(rings(kernel), label=name, **STYLES[name])
    axes[0].set_ylabel("mean weight")
    axes[0].set_title("Radial profile of the kernel", fontsize=11)
    axes[0].legend(frameon=False)
    if known:
        for name in kernels.keys() - {"true"}:
            error = np.sqrt(rings((kernels[name] - kernels["true"]) ** 2)) / kernels["true"].max()
            axes[1].semilogy(np.maximum(error, 1e-16), **STYLES[name])
        axes[1].set_ylabel("error (rms), of the peak")
    axes[-1].set_xlabel("distance from the center in pixels")
    for axis in axes:
        _plain(axis)
    return figure


def mtf(kernels: dict[str, np.ndarray], power: np.ndarray, limit: float, sentence: str) -> Figure:
    """The modulation transfer functions, above the images' power; the identifiable band shaded.

    Args:
        kernels: as for `comparison`.
        power: float (height, width // 2 + 1), the images' power spectrum.
        limit: end of the identifiable band in cycles/pixel.
        sentence: what can be known, as a title.
    """
    figure = Figure((7, 5.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    lowest = 1e-2
    for name, kernel in kernels.items():
        frequencies, modulus = mtf_profile(kernel)
        above.semilogy(frequencies, np.maximum(modulus, SMALLEST_MTF), label=name, **STYLES[name])
        lowest = min(lowest, modulus.min())
    above.set(ylabel="MTF", ylim=(max(lowest / 30, SMALLEST_MTF), 3))
    above.set_title(sentence.replace("; ", ";\n"), fontsize=10)
    height, width = power.shape[0], 2 * (power.shape[1] - 1)
    rings = ring_means(power, frequency_radius(height, width) * height)[: height // 2 + 1]
    below.semilogy(np.arange(len(rings)) / height, rings, color="tab:green")
    below.set(ylabel="power of the images", xlabel="cycles/pixel", xlim=(0, 0.5))
    band = {"facecolor": BAND_COLOR, "edgecolor": "0.7", "label": "identifiable", "zorder": 0}
    for axis in (above, below):
        axis.axvspan(0, min(limit, 0.5), **band)
        _plain(axis)
    above.legend(frameon=False, loc="lower left", fontsize=9)
    return figure


def residual(sharp: np.ndarray, blurred: np.ndarray, predicted: np.ndarray) -> Figure:
    """A held-out image, its blurred version, what the filter makes of it, and the difference.

    Args:
        sharp, blurred, predicted: (height, width, 1), 0..1.
    """
    difference = predicted - blurred
    reach = np.abs(difference).max() or 1.0
    figure = Figure((11, 3.3), layout="constrained")
    axes = figure.subplots(1, 4)
    shown = {"held out": sharp, "blurred": blurred, "predicted": predicted}
    for axis, (title, image) in zip(axes, shown.items(), strict=False):
        _picture(axis, image, title)
    drawn = axes[3].imshow(difference[..., 0], cmap="RdBu_r", vmin=-reach, vmax=reach)
    axes[3].set_title("predicted - blurred", fontsize=10)
    axes[3].set_axis_off()
    figure.colorbar(drawn, ax=axes[3], shrink=0.8)
    return figure


def growth(kernels: list[np.ndarray], errors: list[float]) -> Figure:
    """The filter after each epoch, on one scale.

    Args:
        kernels: float (size, size), one for each epoch so far.
        errors: relative L2 error of each; empty where the true kernel isn't known.
    """
    epochs = np.unique(np.linspace(0, len(kernels) - 1, SHOWN_EPOCHS).astype(int))
    peak = max(np.abs(kernels[epoch]).max() for epoch in epochs) or 1.0
    figure = Figure((1.7 * max(len(epochs), 3), 2.4 if errors else 2.2), layout="constrained")
    figure.suptitle("The filter as it grows", fontsize=11)
    axes = figure.subplots(1, len(epochs), squeeze=False)[0]
    for axis, epoch in zip(axes, epochs, strict=True):
        axis.imshow(kernels[epoch], cmap="RdBu_r", vmin=-peak, vmax=peak)
        error = f"\nerror {terminal.number(errors[epoch])}" if errors else ""
        axis.set_title(f"epoch {epoch + 1}{error}", fontsize=9)
        axis.set_axis_off()
    return figure


def _picture(axis: Axes, image: np.ndarray, title: str = "") -> None:
    axis.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1)
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()


def _plain(axis: Axes) -> None:
    """Less ink than Matplotlib's default."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)
