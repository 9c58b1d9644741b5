"""The structure of the code: every file with its floor, its size, and whether it can be taken out.

    python benchmarks/house.py

Imports go down the floors. The core is what `train.py` and `predict.py` need for a classifier; an
optional package is named in the tables of `foldernet/rooms.py` alone. Lines of code are those that
aren't blank, a comment or a docstring. Needs nothing but Python.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ("train.py", "predict.py", "check.py", "evaluate.py", "export.py", "serve.py")
PACKAGES = (
    *(
        "analysis",
        "blur",
        "checks",
        "drop_in",
        "export",
        "figures",
        "interchange",
        "photo_augmentation",
        "pretrained",
    ),
    *("recipe", "resume", "serving", "transfer"),
)
ROOMS = (
    *PACKAGES,
    *("networks/applications.py", "networks/efficientnet_lite.py", "shipped.py"),
)
TABLES = "foldernet/rooms.py"
# From the top down; a file belongs to the longest prefix that it has.
FLOORS = (
    (
        "entry points",
        *SCRIPTS,
        *("foldernet/__init__.py", "foldernet/__main__.py", "foldernet/commands.py"),
        *("foldernet/checks/command.py", "foldernet/analysis/command.py"),
        *("foldernet/serving/command.py", "foldernet/export/command.py"),
    ),
    ("train, predict, rooms", "foldernet/train.py", "foldernet/predict.py", TABLES),
    (
        "optional packages",
        *(f"foldernet/{name}/" for name in PACKAGES),
    ),
    ("tasks", "foldernet/tasks/"),
    (
        "training, evaluation, inference",
        *("foldernet/training/", "foldernet/evaluation/", "foldernet/inference/"),
    ),
    ("networks, batches", "foldernet/networks/", "foldernet/batches/"),
    ("datasets", "foldernet/datasets/"),
    ("images", "foldernet/images/"),
    ("options", "foldernet/"),
    ("terminal, files", *("foldernet/terminal.py", "foldernet/files.py", "foldernet/shipped.py")),
)


def files(root: Path = ROOT) -> list[str]:
    """The package's files and the scripts, relative to `root`, with / on every system."""
    package = sorted(path.relative_to(root).as_posix() for path in root.glob("foldernet/**/*.py"))
    return [script for script in SCRIPTS if (root / script).exists()] + package


def floor(file: str) -> int:
    """Which of `FLOORS` a file is on, the top one first."""
    prefixes = [
        (len(prefix), index)
        for index, (_, *known) in enumerate(FLOORS)
        for prefix in known
        if file.startswith(prefix)
    ]
    return max(prefixes)[1]


def room(file: str) -> str | None:
    """The optional package, or file, that a file belongs to; None of the core."""
    scripts = {"check.py": "foldernet/checks/", "evaluate.py": "foldernet/analysis/"}
    scripts |= {"serve.py": "foldernet/serving/", "export.py": "foldernet/export/"}
    file = scripts.get(file, file)
    return next((name for name in ROOMS if re.match(f"foldernet/{name}(/|$)", file)), None)


def sizes(path: Path) -> tuple[int, int]:
    """Lines of code, and all lines."""
    text = path.read_text(encoding="utf-8")
    documentation, code = set(), set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
            documentation |= set(range(node.lineno, node.end_lineno + 1))
    nothing = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in (*nothing, tokenize.ENDMARKER):
            code |= set(range(token.start[0], token.end[0] + 1))
    return len(code - documentation), len(text.splitlines())


def imports(file: str, root: Path = ROOT) -> set[str]:
    """The project's files that a file imports, inside functions and by name too; what is imported
    for type checkers alone doesn't count."""
    known = set(files(root))
    tree = ast.parse((root / file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    named = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named |= set(re.findall(r"^foldernet(?:\.\w+)+", node.value))
    found = set()
    for name in named:
        path = name.replace(".", "/")
        found |= {path + ".py", path + "/__init__.py"} & known
    # `from foldernet import x` names a module or what __init__ offers, and is no import of that.
    return found - {file, "foldernet/__init__.py"}


def core(root: Path = ROOT) -> set[str]:
    """What `train.py` and `predict.py` reach for a classifier, the optional packages taken out. A
    network is found by its name, and so counted besides."""
    reached = set()
    waiting = {"train.py", "predict.py", "foldernet/__init__.py"}
    networks = {file for file in files(root) if file.startswith("foldernet/networks/")}
    waiting |= {file for file in networks if room(file) is None}
    while waiting:
        file = waiting.pop()
        reached.add(file)
        packages = {f"{parent}/__init__.py" for parent in Path(file).parents} & set(files(root))
        found = {other for other in imports(file, root) | packages if room(other) is None}
        waiting |= found - reached
    return reached


def main() -> None:
    rows, totals, needed = [], {"core": 0, "optional": 0}, core()
    for file in files():
        code, lines = sizes(ROOT / file)
        kind = "core" if file in needed else "optional"
        totals[kind] += code
        rows.append((FLOORS[floor(file)][0], file, kind, code, lines))
    rows.sort(key=lambda row: (floor(row[1]), row[1]))
    widths = [max(len(str(row[column])) for row in rows) for column in range(5)]
    for *texts, code, lines in [("floor", "file", "part", "code", "lines"), *rows]:
        cells = [text.ljust(width) for text, width in zip(texts, widths, strict=False)]
        print("  ".join(cells), str(code).rjust(5), str(lines).rjust(6))
    print(f"\ncore {totals['core']:,}, optional packages {totals['optional']:,} lines of code")
    print(f"longest file: {max(lines for *_, lines in rows)} lines in all")


if __name__ == "__main__":
    main()
