"""Score a trained classifier on labeled images: `python evaluate.py`; `--help` lists more."""

from foldernet.analysis.command import evaluate as main

if __name__ == "__main__":
    raise SystemExit(main())
