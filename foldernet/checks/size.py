"""How large an image may be: the option of prediction, as training has it."""

from collections.abc import Iterable
from typing import Any

from foldernet.checks.options import SizeOptions

Options = SizeOptions


def pass_on(options: SizeOptions, predictor: Any, results: Iterable[Any]) -> Iterable[Any]:
    """The results, none of which has been asked for yet, of images of any allowed size."""
    options.allow()
    return results
