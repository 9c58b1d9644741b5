"""Train a network on a folder of images: `python train.py [DATA]`; `--help` lists the options."""

import sys

from foldernet.commands import train as main

if __name__ == "__main__":
    sys.exit(main())
