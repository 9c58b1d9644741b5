"""The stages of a pretrained network: its last layer is solved, and then more may be trained."""

import dataclasses

from foldernet.options import ClassifyOptions
from foldernet.pretrained.choice import Options, starts_from_imagenet
from foldernet.training.runs import Run
from foldernet.training.session import Stage

ONLY_WITH = ClassifyOptions
FEW = 20  # validation images, with fewer of which cross-validation says more
LAST = 0.25  # the share of its layers that --fine-tune last trains, counted from the output


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
        layer.trainable = not norm and position >= kept[options.fine_tune]
    still = {"learning_rate": 0.0, "weight_decay": 0.0, "schedule": "constant"}
    first = Stage(head, seen, 1, dataclasses.replace(options, **still))
    whole.epochs -= 1
    whole.options = dataclasses.replace(options, epochs=max(1, whole.epochs))
    return [*before, first, whole], facts


def _restored(options: Options) -> bool:
    """Whether the weights come from a checkpoint, which a resumed run may not have written yet."""
    resumed = getattr(options, "resume", False)
    return resumed and (Run(options.name).models / "state.npz").exists()
