"""Export a trained classifier for other programs: `python export.py`; `--help` lists more."""

from foldernet.export.command import export as main

if __name__ == "__main__":
    raise SystemExit(main())
