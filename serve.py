"""Serve a trained classifier: `python serve.py [RUN]`; `--help` lists the options."""

from foldernet.serving.command import serve as main

if __name__ == "__main__":
    raise SystemExit(main())
