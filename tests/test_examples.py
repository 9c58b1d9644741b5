"""The scripts in examples/."""

from pathlib import Path

import optuna
import pytest

import foldernet
from examples import search
from foldernet import rooms

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def test_a_search_leaves_runs_and_a_figure_and_goes_on(stripes_folder, capsys):
    arguments = [str(stripes_folder), "--minutes", "0.001", "--epochs", "1"]
    for trials in (1, 2):
        assert search.main(arguments) == 0
        study = optuna.load_study(study_name="search", storage="sqlite:///search.db")
        assert [each.state.name for each in study.trials] == ["COMPLETE"] * trials
        assert Path(f"models/search-{trials - 1}/best.keras").exists()
        best, *flags = capsys.readouterr().out.split("\n")[-2].split()
        assert float(best) == pytest.approx(study.best_value, abs=1e-4)
    assert float(flags[flags.index("--learning-rate") + 1]) == pytest.approx(
        study.best_params["learning_rate"], rel=0.01
    )
    assert Path("search.png").stat().st_size > 1000


def test_a_trial_that_falls_behind_is_cut_short(stripes_folder, monkeypatch):
    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=-1))
    monkeypatch.setitem(rooms.PACKAGES, "examples.search:Pruning", ["adapt"])
    monkeypatch.setattr(search.Pruning, "trial", study.ask(), raising=False)
    with pytest.raises(optuna.TrialPruned):
        foldernet.train(stripes_folder, epochs=3, name="pruned", model="simpleconv3")
    assert list(search.Pruning.trial.storage.get_trial(0).intermediate_values) == [0]
    assert not Path("models/pruned/metrics.json").exists()
