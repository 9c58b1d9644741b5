"""Networks, a file each, found by name: nothing is registered anywhere.

`networks/<name>.py` has a function of the same name, `(input_shape, classes, **options) ->
keras.Model`, and perhaps `VARIANTS`, variant -> arguments of that function. A user's own file,
named by its path, looks the same.
"""

import ast
import inspect
import pkgutil
import re
import runpy
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foldernet import option_types
from foldernet.terminal import UserError, listed

if TYPE_CHECKING:  # TensorFlow takes three seconds; an unknown name is answered before that
    import keras

AUTO, DEFAULT = "auto", "simpleconv3"  # what leaves the choice open, and what is taken then


def check_name(model: str) -> str:
    """The name of a network that `build` can build, without building it.

    Args:
        model: a name in this folder, or the path of a .py file; then perhaps `:variant`. Or `AUTO`.

    Raises:
        UserError: there is no such network.
    """
    name, _ = _parts(model)
    path = Path(name)
    if path.suffix == ".py":
        if not path.is_file():
            raise UserError(f"There is no file '{path}'. --model takes a name, or a .py file.")
        return path.stem
    known = [module.name for module in pkgutil.iter_modules(__path__)]
    if name not in known:
        hint = option_types.nearest(name, known, f". There are {listed(known)}, or a .py file.")
        raise UserError(f"There is no network '{name}'{hint}")
    return name


def build(
    model: str, input_shape: tuple[int, int, int], classes: int, options: tuple[str, ...] = ()
) -> "keras.Model":
    """Build a network.

    Args:
        model: as for `check_name`.
        input_shape: (height, width, channels).
        classes: how many outputs.
        options: arguments of the network's function, each "name=value".

    Returns:
        A functional model: pixels (n, *input_shape) 0..255 -> probabilities (n, classes).

    Raises:
        UserError: an unknown variant or option, or the network doesn't fit.
    """
    import keras

    name, variant = _parts(model)
    own = name.endswith(".py")
    names = runpy.run_path(name) if own else vars(import_module(f"{__name__}.{name}"))
    function, variants = names.get(check_name(model)), names.get("VARIANTS", {})
    if not function:
        raise UserError(f"'{name}' has no function '{check_name(model)}', named like its file.")
    if variant and variant not in variants:
        has = f". It has {listed(variants, at_most=50) or 'no variants'}."
        hint = option_types.nearest(variant, variants, has)
        raise UserError(f"'{name}' has no variant '{variant}'{hint}")
    arguments = variants.get(variant, {}) | dict(map(option, options))
    try:
        inspect.signature(function).bind(input_shape, classes, **arguments)
    except TypeError as error:
        raise UserError(
            f"--model-options: {error}. The network's function is"
            f" {function.__name__}{inspect.signature(function)}."
        ) from error
    network = function(input_shape, classes, **arguments)
    if network.input_shape != (None, *input_shape) or network.output_shape != (None, classes):
        raise UserError(
            f"The network '{name}' turns {network.input_shape} into {network.output_shape}."
            f" Expected {(None, *input_shape)} into {(None, classes)}, probabilities of classes."
        )
    if getattr(network.layers[-1], "activation", None) is not keras.activations.softmax:
        noise = np.random.default_rng(0).uniform(0, 255, (1, *input_shape))
        if not np.isclose(total := float(np.sum(network(noise, training=False))), 1, atol=0.01):
            raise UserError(
                f"The outputs of the network '{name}' are no probabilities: they add up to"
                f" {total:.3g}, not 1. End it with a softmax."
            )
    return network


def leaves(layer: "keras.Layer") -> list["keras.Layer"]:
    """The layers of a model, and of the models in it, from input to output: Keras's own way to
    flatten gives those of nested models backwards. A layer that is no model is its own."""
    inner = getattr(layer, "layers", None)
    return [layer] if inner is None else [leaf for each in inner for leaf in leaves(each)]


def _parts(model: str) -> tuple[str, str]:
    """Name or path, and variant, which is empty where none is named."""
    model = DEFAULT if model == AUTO else model
    return re.fullmatch(r"(.*?\.py|[^:]*)(?::(.*))?", model).groups("")


def option(text: str) -> tuple[str, Any]:
    """`rate=0.5` as ("rate", 0.5); what is no Python literal, but for true and false, is text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--model-options '{text}' has no value. Expected name=value.")
    try:
        return name, ast.literal_eval({"true": "True", "false": "False"}.get(value.lower(), value))
    except (ValueError, SyntaxError):
        return name, value
