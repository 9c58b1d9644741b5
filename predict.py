"""Say what is on images: `python predict.py PATH...`; `--help` lists the options."""

from foldernet.commands import predict as main

if __name__ == "__main__":
    raise SystemExit(main())
