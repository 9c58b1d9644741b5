"""What `train.py --time` takes, from the command's start to its end, against what it was given.

    python benchmarks/time_budget.py

The animals that ship, with the defaults, from a cold cache, each run in a process of its own. "of
the time" should be near 1, and never above 1.1.

Once each, Intel Xeon, 2 cores, Python 3.11.7, Keras 3.15.1, on a machine that others used meanwhile
(load average in the JSON), which is why two runs ended before the epochs that were planned:

| time | epochs | ended early | seconds | of the time |  most | accuracy |
| ---- | -----: | ----------: | ------: | ----------: | ----: | -------: |
| 90s  |      8 |           1 |    91.3 |        1.01 |  1.01 |    0.923 |
| 2m   |     17 |           1 |     116 |       0.963 | 0.963 |    0.956 |
| 4m   |     71 |           0 |     214 |        0.89 |  0.89 |    0.979 |
"""

import json
import os
import statistics

import measure

BUDGETS = ("90s", "2m", "4m")


def main() -> None:
    options = measure.parser(__doc__, "the shortest time, once").parse_args()
    if options.contestant:
        print(json.dumps(train(*options.contestant)))
        return
    budgets, repeats = (BUDGETS[:1], 1) if options.quick else (BUDGETS, options.repeats)
    from foldernet.recipe.adapt import seconds

    with measure.workspace(options.folder) as place:
        os.chdir(place)
        turns = {
            (time, n): measure.child(__file__, time) for time in budgets for n in range(repeats)
        }
        found = {key: measure.run(command) for key, command in turns.items()}
    rows = []
    for time in budgets:
        runs = [run for (given, _), run in found.items() if given == time]
        shares = [run["wall_seconds"] / seconds(time) for run in runs]
        rows.append(
            {
                "time": time,
                "epochs": statistics.median(run["planned"] for run in runs),
                "ended early": sum(run["epochs"] < run["planned"] for run in runs),
                "seconds": statistics.median(run["wall_seconds"] for run in runs),
                "of the time": statistics.median(shares),
                "most": max(shares),
                "accuracy": statistics.median(run["accuracy"] for run in runs),
            }
        )
    measure.report("time_budget", {"Time budgets": rows}, options)


def train(time: str) -> dict:
    """A run of train.py: epochs planned and trained, and the best one's validation accuracy."""
    import foldernet

    run = foldernet.train(time=time)
    config = json.loads((run.models / "config.json").read_text())["config"]
    return {
        "planned": config["epochs"],
        "epochs": run.metrics["epochs"],
        "accuracy": run.metrics["accuracy"],
    }


if __name__ == "__main__":
    main()
