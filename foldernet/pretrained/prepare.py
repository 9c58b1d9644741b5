"""What becomes of a pretrained network before it is compiled: frozen layers, and a solved head."""

from typing import Any

from foldernet.pretrained.choice import starts_from_imagenet
from foldernet.pretrained.options import PretrainedOptions
from foldernet.training.runs import Run

Options = PretrainedOptions


def prepare(options: PretrainedOptions, network, batches: dict[str, Any]) -> list[tuple[str, str]]:
    """Freeze what isn't trained, and solve the last layer.

    Args:
        network: a `keras.Model`, changed in place; one that isn't pretrained is left alone.
        batches: split -> iterator over its images.

    Returns:
        (name, text) of what the terminal says before training.
    """
    if not starts_from_imagenet(options) or options.fine_tune == "none":
        return []
    import keras

    from foldernet.pretrained.features import frozen_features
    from foldernet.pretrained.head import solve

    features, dense = network.get_layer("features"), network.layers[-1]
    training = batches["training"]
    if not _restored(options):
        backbone = keras.Model(network.input, features.output, name=network.name)
        found, positions = frozen_features(
            backbone, training.store, options.horizontal_flip, options.cache
        )
        weight = None if options.class_weights == "none" else options.class_weights
        head = solve(found, training.classes[positions], weight)
        dense.set_weights([head.kernel, head.bias])
        judged = head.accuracy is not None  # by cross-validation, which takes two images a class
        how = f" by cross-validation, accuracy {head.accuracy:.3f}" if judged else ""
        facts = [("head", f"solved on {len(found):,} images, strength {head.strength:g}{how}")]
    else:
        facts = [("head", "as the run has it")]
    for layer in network.layers:
        # Moving averages of a small set would be worse than ImageNet's.
        norm = isinstance(layer, keras.layers.BatchNormalization)
        if norm or (options.fine_tune == "head" and layer is not dense):
            layer.trainable = False
    return facts


def _restored(options: PretrainedOptions) -> bool:
    """Whether the weights come from a checkpoint, which a resumed run may not have written yet."""
    resumed = getattr(options, "resume", False)
    return resumed and (Run(options.name).models / "state.npz").exists()
