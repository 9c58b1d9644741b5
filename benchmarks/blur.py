"""How well blur mode recovers kernels that it wasn't tuned on, and what each of its parts is for.

    pip install -r requirements.txt -r requirements-benchmarks.txt
    python benchmarks/blur.py --folder blur-runs

docs/blur.md has the last tables and figures.

Every row is `train.py --mode blur` with the options shown by --list, once for each seed, in a
process of its own; errors are relative L2, medians over the seeds, the worst seed beside them.
"attainable" is what an estimate could come to that knows the kernel's own power and is, frequency
by frequency, as sure as the Cramer-Rao bound allows. The photographs that ship are learned from, two
others held out. The kernels of the table were not used for choosing any setting, save gaussian 7. A
run whose metrics.json lies in --folder already isn't repeated, so that an interrupted benchmark goes
on where it was.

Then one training step, forward and gradient, of our layer against tf.nn.conv2d. And the published
set-up, changed in one thing at a time, with one seed: what docs/blur.md shows, with its figures.
"""

import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

import measure
import numpy as np

SEEDS = 5
FIGURES = measure.ROOT / "docs" / "figures"
KERNELS = {
    **{f"gaussian {sigma}": ["--sigma", str(sigma)] for sigma in (2, 4, 7, 10)},
    "motion 17, 23 degrees": ["--kernel", "motion", "--length", "17", "--angle", "23"],
    "disk 6.3": ["--kernel", "disk", "--radius", "6.3"],
    "random 11x11": ["--kernel", "random.npy"],
}
GAUSSIANS = [name for name in KERNELS if name.startswith("gaussian")]
SMALL, LARGE = ["--kernel-size", "97"], ["--kernel-size", "255", "--epochs", "8"]
# Noise averages out over many crops; exact data need few.
CAMERA = ["--crops", "1024", "--epochs", "4", *SMALL]
PUBLISHED = ["--init", "glorot_uniform", "--loss", "mse", "--optimizer", "adam"]
SETTINGS = {  # title -> options, kernels
    "exact, 97x97": (SMALL, list(KERNELS)),
    "exact, 255x255": (LARGE, ["gaussian 4", "disk 6.3"]),
    "8 bits": (["--bits", "8", *CAMERA], list(KERNELS)),
    "1 % noise": (["--noise", "0.01", *CAMERA], [*GAUSSIANS, "disk 6.3"]),
    "white noise, exact": (["white_noise", *SMALL], ["gaussian 4", "random 11x11"]),
    "blobs, exact": (["blobs", *SMALL], ["gaussian 4", "gaussian 10"]),
}
# As published, but for a fifth of the crops.
SHORTER = ["--kernel-size", "255", "--batch-size", "5", "--epochs", "5", "--crops", "1000"]
EXPERIMENTS = {
    "as published": PUBLISHED,
    "a tenth of the learning rate": [*PUBLISHED, "--learning-rate", "1e-4"],
    "ten times the learning rate": [*PUBLISHED, "--learning-rate", "1e-2"],
    "images of white noise": ["white_noise", *PUBLISHED],
    "whitened loss": [*PUBLISHED[:2], *PUBLISHED[4:]],
    "zero initialization": PUBLISHED[2:],
    "both": PUBLISHED[4:],
    "both, and the measured step": [],
    "the same, 4,900 crops": ["--crops", "4900"],
}
STEP_SIZES = (3, 9, 33, 65, 97, 255)
STEP_IMAGES, STEP_SECONDS = 4, 1.0  # a batch; how long to repeat a step that is quick


def main() -> None:
    options = measure.parser(__doc__, "one seed, one short epoch of small crops")
    options.add_argument("--seeds", type=int, default=SEEDS, help=f"(default: {SEEDS})")
    options.add_argument("--list", action="store_true", help="print the commands, and leave")
    options = options.parse_args()
    if options.contestant:
        kind, *arguments = options.contestant
        print(json.dumps({"train": trained, "step": step}[kind](*arguments)))
        return
    options.repeats = options.seeds = 1 if options.quick else options.seeds
    cases = [
        (title, kernel, [*chosen, *KERNELS[kernel]])
        for title, (chosen, kernels) in SETTINGS.items()
        for kernel in kernels
    ]
    trials = [(name, [*SHORTER, *chosen]) for name, chosen in EXPERIMENTS.items()]
    if options.list:
        for arguments in (*(case[-1] for case in cases), *(trial[-1] for trial in trials)):
            print("python train.py --mode blur", *arguments)
        return
    with measure.workspace(options.folder) as place:
        os.chdir(place)
        make_images()
        tables = {"Recovery": [], "A training step": [], "One thing changed": []}
        for title, kernel, arguments in cases:
            runs = repeated(f"{title} {kernel}", arguments, options.seeds, options.quick)
            tables["Recovery"].append({"data": title, "kernel": kernel, **summary(runs)})
        for name, arguments in trials:
            runs = repeated(name, arguments, 1, options.quick)
            tables["One thing changed"].append({"set-up": name, **summary(runs)})
        tables["A training step"] = steps(options)
        measure.report("blur", tables, options)
        if not options.quick:
            draw()


def make_images() -> None:
    """White noise, smooth blobs and a kernel without symmetry, where they aren't yet."""
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(1811)
    np.save("random.npy", random.random((11, 11)))
    for name, smoothness in (("white_noise", 0), ("blobs", 8)):
        for part, count in (("train", 6), ("val", 2)):
            Path(name, part).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                image = gaussian_filter(random.random((512, 512)), smoothness)
                image = (image - image.min()) / np.ptp(image)
                Image.fromarray(np.rint(255 * image).astype(np.uint8)).save(
                    f"{name}/{part}/{index}.png"
                )


def repeated(name: str, arguments: list[str], seeds: int, quick: bool) -> list[dict]:
    """metrics.json of one run for each seed, trained unless it lies there."""
    runs = []
    for seed in range(seeds):
        run = f"{slug(name)}-{seed}"
        metrics = Path("models", run, "metrics.json")
        wall = metrics.with_name("benchmark.json")
        if not wall.exists():
            print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
            for part in ("models", "logs"):  # of a run that was interrupted
                shutil.rmtree(Path(part, run), ignore_errors=True)
            short = ["--crops", "16", "--epochs", "1"] if quick else []
            command = [*arguments, *short, "--seed", str(seed), "--name", run]
            measured = measure.run(measure.child(__file__, "train", json.dumps(command)))
            wall.write_text(json.dumps({"wall_seconds": measured["wall_seconds"]}))
        runs.append(json.loads(metrics.read_text()) | json.loads(wall.read_text()))
    return runs


def slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def trained(arguments: str) -> dict:
    """train.py as a user calls it."""
    import runpy

    train = runpy.run_path(str(measure.ROOT / "train.py"))["main"]  # not this folder's train.py
    if train(["--mode", "blur", *json.loads(arguments)]):
        raise SystemExit(1)
    return {}


def summary(runs: list[dict]) -> dict:
    """A row of a table: medians over the seeds, and the worst."""

    def median(key: str) -> float:
        return statistics.median(run[key] for run in runs)

    return {
        "error": median("relative_l2"),
        "worst": max(run["relative_l2"] for run in runs),
        "attainable": median("relative_l2_attainable"),
        "in band": median("in_band_otf_error"),
        "band to": median("identifiable_cycles_per_pixel"),
        "reference": median("relative_l2_reference"),
        "converged": f"{sum(run['reference_converged'] for run in runs)}/{len(runs)}",
        "centroid": median("centroid_shift_pixels"),
        "PSNR": median("psnr_holdout"),
        "fit s": median("seconds"),
        "all s": median("wall_seconds"),
    }


def steps(options) -> list[dict]:
    """Milliseconds an image of forward and gradient, ours and TensorFlow's, by filter size."""
    rows = []
    for size in STEP_SIZES[: 2 if options.quick else None]:
        turns = {kind: measure.child(__file__, "step", kind, size) for kind in STEPS}
        measured = measure.rounds(turns, options.repeats if size <= 33 else 1)
        row = {"filter": f"{size}x{size}"}
        row |= {f"{kind} ms": result["ms"] for kind, result in measured.items()}
        row["times"] = row["tf.nn.conv2d ms"] / row["fft ms"]
        rows.append(row)
    return rows


def step(kind: str, size: str) -> dict:
    """Time forward and gradient of the mean square, in this process."""
    import tensorflow as tf

    images = tf.random.uniform((STEP_IMAGES if int(size) <= 97 else 1, 256, 256, 1))
    kernel, convolve, compiled = STEPS[kind](int(size))

    @tf.function(jit_compile=compiled)
    def gradient():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(convolve(images) ** 2)
        return tape.gradient(loss, kernel)

    if int(size) <= 97:  # a step that takes minutes is timed once, tracing and all
        gradient()
    started, count = time.perf_counter(), 0
    while not count or time.perf_counter() - started < STEP_SECONDS:
        gradient().numpy()
        count += 1
    return {"ms": 1e3 * (time.perf_counter() - started) / count / len(images)}


def _layer(size: int):
    from foldernet.blur.single_filter import ZeroPaddedConvolution

    layer = ZeroPaddedConvolution(size)
    layer.build((None, 256, 256, 1))
    return layer.kernel.value, layer, True


def _conv2d(size: int):
    import tensorflow as tf

    kernel = tf.Variable(tf.zeros((size, size, 1, 1)))
    return kernel, lambda images: tf.nn.conv2d(images, kernel, 1, "SAME"), False


STEPS = {"fft": _layer, "tf.nn.conv2d": _conv2d}


def draw() -> None:
    """The figures of docs/blur.md, from the first seed's runs in the working folder."""
    from foldernet.blur import kernels

    FIGURES.mkdir(exist_ok=True)
    true = kernels.gaussian(7)
    learned = {name: np.load(f"models/{slug(name)}-0/kernel.npy") for name in EXPERIMENTS}
    metrics = {
        name: json.loads(Path(f"models/{slug(name)}-0/metrics.json").read_text())
        for name in EXPERIMENTS
    }
    for name, figure in (
        ("blur_one_thing_changed", filters_figure(true, learned, metrics)),
        ("blur_where_the_error_is", spectra_figure(true, learned)),
    ):
        figure.savefig(FIGURES / f"{name}.png", dpi=80, facecolor="white")
    run = f"{slug('1 % noise disk 6.3')}-0"
    shutil.copy(f"logs/{run}/mtf.png", FIGURES / "blur_noise_disk.png")


def filters_figure(true, learned: dict, metrics: dict):
    """The filter that each set-up ends with, each on a scale of its own around zero."""
    from matplotlib.figure import Figure

    figure = Figure((12.5, 6.2), layout="constrained")
    axes = figure.subplots(2, 5).ravel()
    shown = {"the kernel": true, **learned}
    for axis in axes:
        axis.set_axis_off()
    for axis, (name, kernel) in zip(axes, shown.items(), strict=False):
        margin = (255 - len(kernel)) // 2
        peak = np.abs(kernel).max()
        kernel = np.pad(kernel, margin)[64:-64, 64:-64]
        axis.imshow(kernel, cmap="RdBu_r", vmin=-peak, vmax=peak)
        told = metrics.get(name)
        told = told and f"error {told['relative_l2']:.2g}, images {told['psnr_holdout']:.0f} dB"
        axis.set_title(f"{name}\n{told or 'gaussian, sigma 7'}", fontsize=9)
    return figure


def spectra_figure(true, learned: dict):
    """Error of the transfer function against frequency, above the images' power."""
    from matplotlib.figure import Figure

    from foldernet import shipped
    from foldernet.blur import spectrum
    from foldernet.blur.pairs import BlurDataGenerator

    folder = shipped.folder("photos")
    crops = BlurDataGenerator(true).flow_from_directory(folder / "train", crops=64, seed=0)
    sharp = np.concatenate([crops[index][0] for index in range(len(crops))])[..., 0]
    power = spectrum.power_spectrum(sharp)

    def rings(values):
        return spectrum.frequency_rings(values)[:129]

    figure = Figure((7, 5.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    sought = spectrum.otf(true, 256)
    frequencies = np.arange(129) / 256
    shown = ("as published", "zero initialization", "whitened loss", "both, and the measured step")
    for name in shown:
        error = np.sqrt(rings(np.abs(spectrum.otf(learned[name], 256) - sought) ** 2))
        above.semilogy(frequencies, error, label=name)
    above.semilogy(frequencies, rings(np.abs(sought)), color="0.6", linewidth=4, label="the MTF")
    above.set(ylabel="error of the transfer function", ylim=(1e-8, 1e2), xlim=(0, 0.5))
    figure.legend(loc="outside upper center", frameon=False, fontsize=9, ncols=3)
    below.semilogy(frequencies, rings(power), color="0.2")
    below.set(ylabel="power of the images", xlabel="cycles/pixel")
    for axis in (above, below):
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(color="0.9", linewidth=0.6)
    return figure


if __name__ == "__main__":
    main()
