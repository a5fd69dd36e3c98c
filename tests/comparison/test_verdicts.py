from dataclasses import replace

import numpy as np
import pytest
from compared_runs import FLOOR, SCORE, replicates, run
from scipy.stats import norm

from pdm.comparison.verdicts import (
    best,
    differing,
    pairs,
    ranked_pairs,
    reasons_not_to_compare,
    score_rows,
)
from pdm.scores.names import direction
from pdm.tracking.registry.replicates import Replicates, better, difference


def row_of(runs, score=SCORE):
    return next(row for row in score_rows(runs) if row.name == score)


# the difference of two runs


def test_what_the_reference_does_to_both_runs_cancels_in_their_difference():
    low, high = difference(replicates(3.0), replicates(4.0), SCORE)
    expected = norm.ppf(0.975) * 0.1 * np.sqrt(2)  # the shared part, ten times as wide, is gone
    assert (low + high) / 2 == pytest.approx(-1, abs=0.03)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.15)


def test_the_interval_is_that_of_the_percentiles_of_the_differences():
    one, other = (
        Replicates("v", (0, 5), {"a": values}) for values in ([5, 4, 3, 2, 1], [1, 1, 1, 1, 1])
    )
    assert difference(one, other, "a") == pytest.approx((0.1, 3.9))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [(3.0, 4.0, True), (4.0, 3.0, False), (3.0, 3.05, False), (3.0, 3.0, False)],
)
def test_a_run_is_better_only_beyond_chance(a, b, expected):
    assert better(replicates(a), replicates(b, spread=0.11), SCORE) is expected


@pytest.mark.parametrize("change", [{"version": "e" * 64}, {"seed": 1}])
def test_runs_of_other_data_versions_and_seeds_are_not_compared(change):
    other = replicates(9.0, **change)
    assert difference(replicates(3.0), other, SCORE) is None
    assert not better(replicates(3.0), other, SCORE)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ("frechet_random_conv/samples_vs_val", -1),
        ("swd/level_16x32/samples_vs_val", -1),
        ("spectrum_db/samples_vs_val", -1),
        ("frechet_random_conv/train_vs_val", 0),
        ("reconstruction/psnr_db/levels_3", 1),
        ("reconstruction/ssim/levels_3", 1),
        ("memorisation/by_pixels/share_closer_than_all_val", -1),
        ("memorisation/by_pixels/expected_share_closer_than_all_val", 0),
        ("memorisation/by_pixels/samples_median_distance", 0),
        ("counts/num_val", 0),
        ("kernel_random_conv_deviation/samples_vs_val", 0),
    ],
)
def test_which_way_is_better(score, expected):
    assert direction(score) == expected


# winners


def test_a_winner_is_better_than_all_others():
    row = row_of([run("a", 3.0), run("b", 4.0), run("c", 5.0)])
    assert [cell.wins for cell in row.cells] == [True, False, False]
    assert [cell.beats for cell in row.cells] == [(1, 2), (2,), ()]


def test_nobody_wins_where_the_two_best_may_be_equal():
    row = row_of([run("a", 3.0), run("b", 3.01), run("c", 5.0)])
    assert not any(cell.wins for cell in row.cells)
    assert row.undecided
    assert [cell.beats for cell in row.cells] == [(2,), (2,), ()]


def test_one_run_alone_wins_nothing():
    assert not row_of([run("a", 3.0)]).cells[0].wins


def test_there_is_no_winner_across_data_versions_and_the_reason_is_given():
    other = run("b", 9.0, replicates=replicates(9.0, version="e" * 64))
    runs = [run("a", 3.0), other]
    assert not any(cell.wins or cell.beats for cell in row_of(runs).cells)
    [reason] = reasons_not_to_compare(runs)
    assert "different versions of the data" in reason
    assert pairs(runs, SCORE) == []


def test_no_winner_is_called_where_the_scores_were_set_otherwise():
    params = {"evaluate.num_features": "64"}
    runs = [
        run("a", 3.0, params=params),
        run("b", 9.0, params=params | {"evaluate.num_features": "32"}),
    ]
    assert not any(cell.wins for cell in row_of(runs).cells)
    assert "settings of `evaluate`" in reasons_not_to_compare(runs)[0]
    assert pairs(runs, SCORE) == []


def test_settings_that_change_no_score_change_no_verdict():
    runs = [
        run("a", 3.0, params={"evaluate.batch_size": "1"}),
        run("b", 9.0, params={"evaluate.batch_size": "2"}),
    ]
    assert reasons_not_to_compare(runs) == ()
    assert row_of(runs).cells[0].wins


def test_runs_of_one_data_version_differ_also_beside_a_run_of_another():
    other = run("c", 9.0, replicates=replicates(9.0, version="e" * 64))
    [pair] = pairs([run("a", 3.0), run("b", 4.0), other], SCORE)
    assert (pair.first, pair.second, pair.better) == (0, 1, 0)
    assert pair.difference == -1


def test_pairs_with_the_best_run_come_first_and_of_many_runs_they_alone():
    runs = [run(str(score), score) for score in (4.0, 3.0, 3.01, 6.0, 5.0)]
    first, others = ranked_pairs(runs)
    assert [(pair.first, pair.second) for pair in first] == [(0, 1), (1, 2), (1, 3), (1, 4)]
    assert [pair.better for pair in first] == [1, None, 1, 1]
    assert len(others) == 6
    assert [len(part) for part in ranked_pairs(runs[:3])] == [3, 0]


def test_a_run_without_scores_or_replicates_is_named():
    bare = run("bare", 3.0, scores={}, replicates=None)
    old = run("old", 3.0, replicates=None)
    reasons = reasons_not_to_compare([run("a", 3.0), bare, old])
    assert "bare has no scores" in reasons[0]
    assert "old has no bootstrap replicates" in reasons[1]


def test_a_score_stands_with_its_interval_and_floor():
    scores = {SCORE: 3.0, FLOOR: 0.2, f"intervals/{SCORE}/low": 2.0, f"intervals/{SCORE}/high": 4.0}
    [row] = score_rows([run("a", 3.0, scores=scores)])
    assert (row.cells[0].interval, row.cells[0].floor) == ((2.0, 4.0), 0.2)


def test_reconstructions_compare_at_all_levels_where_the_runs_have_not_as_many():
    def reconstructed(name, *by_level):
        scores = {
            f"reconstruction/psnr_db/levels_{count}": value
            for count, value in enumerate(by_level, start=1)
        }
        values = {score: [value] * 3 for score, value in scores.items()}
        return run(name, 0.0, scores=scores, replicates=Replicates("v", (0, 3), values))

    rows = score_rows([reconstructed("pyramid", 15.0, 30.0), reconstructed("single", 20.0)])
    assert [row.name for row in rows if row.direction] == ["reconstruction/psnr_db/all"]
    assert [cell.value for cell in rows[0].cells] == [30.0, 20.0]
    assert rows[0].cells[0].wins
    alike = score_rows([reconstructed("a", 15.0, 30.0), reconstructed("b", 16.0, 29.0)])
    assert [row.cells[0].wins for row in alike] == [True, False, True]


# differences


def test_only_what_differs_is_listed():
    rows = differing([{"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}])
    assert [(row.name, row.values) for row in rows] == [("b", ("2", "3")), ("c", (None, "4"))]


def test_the_best_are_those_of_the_main_score():
    runs = [run("a", 3.0), run("b", 1.0), run("c", 2.0), run("d", 0.0, scores={})]
    assert [one.name for one in best(runs, 2)] == ["b", "c"]
    assert replace(runs[0], name="x").scores == runs[0].scores
