"""Find what is wrong with the images of a folder: `python check.py [DATA]`; `--help` tells more."""

import sys

from foldernet import terminal
from foldernet.config import CheckConfig, parse
from foldernet.data import quarantine, sources


@terminal.door
def main(arguments: list[str] | None = None) -> int:
    config = parse(CheckConfig, "python check.py [DATA] [options]", arguments)
    dataset = sources.find(config)

    from foldernet.data import check  # decoders, needed now that there is something to decode

    examined = check.examine(config, dataset)
    found = check.findings(dataset, examined, config.cache)
    check.tell(dataset, examined, found)
    left_out = quarantine.update(dataset.root, found)
    check.tell_quarantine(dataset, left_out)
    if config.strict:
        check.refuse(len({finding.path for finding in left_out}))
    return 1 if left_out else 0


if __name__ == "__main__":
    sys.exit(main())
