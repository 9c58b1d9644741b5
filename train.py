"""Train a network on a folder of images: `python train.py [DATA]`; `--help` lists the options."""

from foldernet.commands import train as main

if __name__ == "__main__":
    raise SystemExit(main())
