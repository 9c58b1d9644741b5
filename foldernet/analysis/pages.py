"""The templates of what evaluate.py and report.html say."""

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from foldernet import terminal

PAGES = Environment(
    loader=PackageLoader("foldernet.analysis"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
    extensions=["jinja2.ext.do"],
    # Names of classes and files may have any characters.
    finalize=lambda value: terminal.printable(value) if type(value) is str else value,
)
PAGES.filters["share"] = lambda value: "-" if value is None else f"{value:.1%}"
PAGES.filters["number"] = terminal.number
PAGES.filters["table"] = lambda rows: Markup(terminal.table(rows))
