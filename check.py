"""Find what is wrong with the images of a folder: `python check.py [DATA]`; `--help` lists more."""

from foldernet.checks.command import check as main

if __name__ == "__main__":
    raise SystemExit(main())
