"""The claims: their quantities, and verdicts on planted effects."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from helpers.claims import PLANTED, ROLES, learning, picking, planted, study_of

from segunc.claims.study import Study
from segunc.claims.table import CLAIMS, claims
from segunc.claims.verdicts import of_claim, of_part
from segunc.metrics.ranking import augrc

SCORES = ["dice", "cross_entropy", "error_auroc_band", "border_auroc_band", "ged_u", "ged_levels", "coupling_gain"]
SCORES += ["u_mean_entropy", "u_foreground_entropy", "u_patch_entropy", "u_pairwise", "certain_tp", "certain_tn"]
SCORES += [f"entropy_{group}" for group in ("tp", "fp", "fn", "tn", "agree", "somewhat", "disagree")]
SCORES += ["entropy_right", "entropy_wrong", "entropy_disputed"]


def study(models=tuple(ROLES), seeds: int = 3, annotators: int = 4) -> Study:
    """Random scores around 0.5 with holes, for the given models."""
    rng = np.random.default_rng(0)
    truth = {model: dict.fromkeys(SCORES, 0.5) for model in models}
    own = study_of(truth, 12, seeds, rng, annotators)
    own.images.loc[rng.random(len(own.images)) < 0.1, ["entropy_fp", "certain_tp", "error_auroc_band"]] = np.nan
    return own


def verdict(claim: str, of: Study) -> str:
    return of_claim(CLAIMS[claim].parts(of))


def by_seed(of: Callable[[pd.DataFrame], float], frame: pd.DataFrame) -> float:
    """Mean over seeds of a number of the rows of one seed."""
    return float(np.mean([of(rows) for _, rows in frame.groupby("seed")]))


def test_quantities_are_means_over_images_and_then_over_seeds() -> None:
    whole = study()
    wide = whole.images.reset_index().pivot(index=["seed", "image_id"], columns="model")

    def mean(first: str, model: str, second: str, other: str) -> float:
        return by_seed(lambda rows: (rows[first, model] - rows[second, other]).mean(), wide)

    def found(claim: str, name: str, *models: str) -> float:
        [part] = [part for part in CLAIMS[claim].parts(whole) if (part.name, part.models) == (name, models)]
        return part.estimate.estimate

    def area(rows: pd.DataFrame, model: str, score: str) -> float:
        return augrc((1 - rows["dice", model]).to_numpy(), rows[score, model].to_numpy())

    m = "prob_unet"
    assert found("1", "1a", m) == pytest.approx(mean("entropy_wrong", m, "entropy_right", m))
    assert found("1", "1b_fp", m) == pytest.approx(mean("entropy_fp", m, "entropy_tp", m))
    assert found("1", "1b_fn", m) == pytest.approx(mean("entropy_fn", m, "entropy_tn", m))
    assert found("1", "1c", m) == pytest.approx(mean("error_auroc_band", m, "border_auroc_band", m))
    assert found("2", "2a_tp", "mc_dropout") == pytest.approx(
        by_seed(lambda rows: rows["certain_tp", "mc_dropout"].mean(), wide)
    )
    # 100 true positives and 900 true negatives; a group without pixels has no share.
    certain = wide["certain_tp"].fillna(0) * 0.1 + wide["certain_tn"] * 0.9
    assert found("2", "2b", m, "mc_dropout") == pytest.approx(
        by_seed(lambda rows: (rows[m] - rows["mc_dropout"]).mean(), certain)
    )
    assert found("3", "3a", m) == pytest.approx(mean("entropy_disputed", m, "entropy_agree", m))
    assert found("3b", "3b", m) == pytest.approx(by_seed(lambda rows: rows["entropy_disputed", m].mean(), wide))
    assert found("3c", "3c", m) == pytest.approx(mean("entropy_disagree", m, "entropy_somewhat", m))
    assert found("4", "4i", m, "unet") == pytest.approx(mean("error_auroc_band", m, "error_auroc_band", "unet"))
    assert found("4", "4ii", m, "unet") == pytest.approx(
        by_seed(lambda rows: 1 - rows["cross_entropy", m].mean() / rows["cross_entropy", "unet"].mean(), wide)
    )
    score = "u_foreground_entropy"
    assert found("4", "4iii", m, "unet") == pytest.approx(
        by_seed(lambda rows: area(rows, "unet", score) - area(rows, m, score), wide)
    )
    assert found("5", "5", "mc_dropout", m) == pytest.approx(mean("ged_u", "mc_dropout", "ged_u", m))
    assert found("5_index", "5", "unet", "ensemble_index") == pytest.approx(
        mean("ged_u", "unet", "ged_u", "ensemble_index")
    )
    assert found("8", "8", m) == pytest.approx(-by_seed(lambda rows: rows["coupling_gain", m].mean(), wide))
    assert found("9", "9", m, "unet") == pytest.approx(mean("ged_levels", "unet", "ged_u", m))
    for claim, score in (("10_mean", "u_mean_entropy"), ("10_patch", "u_patch_entropy"), ("10_pairwise", "u_pairwise")):
        assert found(claim, "10", m) == pytest.approx(
            by_seed(lambda rows, score=score: (1 - rows["dice", m]).mean() / 2 - area(rows, m, score), wide)
        )


@pytest.mark.parametrize("claim", PLANTED)
def test_planted_effects_get_the_right_verdict(claim: str) -> None:
    rng = np.random.default_rng(1)
    assert verdict(claim, planted(claim, -2, -2, 60, 5, rng)) == "contradicted"
    assert verdict(claim, planted(claim, 3, 3, 60, 5, rng)) == "supported"
    assert verdict(claim, planted(claim, 3, -3, 60, 5, rng)) == "contradicted"


@pytest.mark.parametrize("claim", ["3", "9"])
def test_verdicts_are_rarely_wrong_at_the_margin(claim: str) -> None:
    """A small version of benchmarks/claims.py: each wrong verdict has a probability of about 0.025."""
    rng = np.random.default_rng(2)
    at_margin = [verdict(claim, planted(claim, 0, 0, 22, 5, rng)) for _ in range(25)]
    one_at_margin = [verdict(claim, planted(claim, 3, 0, 22, 5, rng)) for _ in range(25)]
    # With probability 0.025, more than 4 of 25 are wrong once in 3,000.
    assert at_margin.count("contradicted") <= 4 and at_margin.count("supported") <= 4
    assert one_at_margin.count("supported") <= 4


@pytest.mark.parametrize(
    ("advantage", "gain", "expected"),
    [(-0.1, 0.4, "supported"), (0.2, 0.4, "contradicted"), (0.2, -0.2, "uninformative")],
)
def test_uncertainty_sampling_against_random(advantage: float, gain: float, expected: str) -> None:
    """Where random does not learn, an advantage over it says nothing."""
    rng = np.random.default_rng(3)
    own = learning(advantage, gain, 60, 5, rng)
    assert verdict("6", own) == verdict("6_dice", own) == expected
    [part] = CLAIMS["6"].parts(own)
    assert part.estimate.estimate == pytest.approx(advantage, abs=0.03)
    assert bool(part.note) == (expected == "uninformative")


@pytest.mark.parametrize(("excess", "expected"), [(-3, "contradicted"), (3, "supported")])
def test_picks_against_the_pool(excess: float, expected: str) -> None:
    own = picking(excess, 5, np.random.default_rng(4))
    assert {verdict(claim, own) for claim in ("7_disputed", "7_large", "7_split")} == {expected}


def test_random_picks_are_rarely_judged() -> None:
    rng = np.random.default_rng(5)
    found = [verdict("7_large", picking(0, 5, rng)) for _ in range(100)]
    assert found.count("supported") <= 8 and found.count("contradicted") <= 8 and "undecided" in found


def test_picks_of_a_dataset_with_one_annotator_are_judged_by_size_alone() -> None:
    own = picking(3, 5, np.random.default_rng(6))
    picks = own.picks.copy()
    picks.loc[picks["measure"] == "disputed_pixels", ["picks", "pool", "null_sd"]] = 0.0
    picks.loc[picks["measure"].isin(["disputed_share", "split_votes"]), ["picks", "pool", "null_sd"]] = np.nan
    own = own._replace(picks=picks)
    assert verdict("7_disputed", own) == verdict("7_split", own) == "not in this run"
    assert {part.note for part in CLAIMS["7_disputed"].parts(own)} == {"one annotator per image"}
    assert verdict("7_large", own) == "supported"
    [part] = CLAIMS["7_large"].parts(own._replace(picks=picks[:0]))
    assert (of_part(part), part.note) == ("not in this run", "no picks")


def test_without_active_learning_random_or_uncertainty_sampling() -> None:
    own = learning(0.0, 0.3, 8, 2, np.random.default_rng(7))
    only_random = {cell: curves for cell, curves in own.curves.items() if cell[1] == "random"}
    only_entropy = {cell: curves for cell, curves in own.curves.items() if cell[1] == "entropy"}
    for of, note in (
        (own._replace(curves=only_random, uncertainty=""), "no uncertainty sampling"),
        (own._replace(curves=only_entropy), "no random sampling"),
    ):
        [part] = CLAIMS["6"].parts(of)
        assert (of_part(part), part.note) == ("not in this run", note)
    assert CLAIMS["6"].parts(study()) == CLAIMS["7_large"].parts(study()) == []


def test_roles_are_not_ids() -> None:
    """A model called like another method, and one of a method of its own."""
    own = study(("unet", "mc_dropout", "prob_unet"))
    renamed = {"unet": "mc_dropout", "mc_dropout": "prob_unet", "prob_unet": "unet"}
    images = own.images.assign(model=own.images["model"].map({role: name for name, role in renamed.items()}))
    swapped = own._replace(images=images, roles=renamed)
    names = {role: name for name, role in renamed.items()}
    for claim in CLAIMS.values():
        before = {(part.name, tuple(map(names.get, part.models))): part for part in claim.parts(own) if part.estimate}
        after = {(part.name, part.models): part for part in claim.parts(swapped) if part.estimate}
        assert after.keys() == before.keys()
        assert all(after[key].estimate == before[key].estimate for key in after)


def test_models_that_are_not_there() -> None:
    own = study(("unet", "prob_unet"))
    for claim in ("2", "5", "5_index"):
        assert verdict(claim, own) in ("not in this run", "contradicted")
        notes = {part.note for part in CLAIMS[claim].parts(own) if not part.estimate}
        assert "no mc_dropout in the grid" in notes
    # Results that are missing after --keep-going.
    lost = study()._replace(images=study().images[lambda rows: rows["model"] != "mc_dropout"])
    assert {part.note for part in CLAIMS["2"].parts(lost)} == {"no scores of mc_dropout"}
    one_model = study(("unet",))
    for claim in CLAIMS:
        assert verdict(claim, one_model)
    assert verdict("9", one_model) == "not in this run"
    nothing = study()._replace(images=study().images[:0])
    assert {verdict(claim, nothing) for claim in CLAIMS} == {"not in this run"}


def test_one_annotator_and_one_seed() -> None:
    single = study(annotators=1)
    judged = {claim for claim in CLAIMS if verdict(claim, single) != "not in this run"}
    assert judged == {"1", "2", "4", "10_mean", "10_foreground", "10_patch", "10_pairwise"}
    of_one_seed = study(seeds=1)
    verdicts = {verdict(claim, of_one_seed) for claim in CLAIMS}
    assert verdicts == {"these networks only", "not in this run"}


def test_a_quantity_of_one_seed_of_several_is_undecided() -> None:
    """It is not that there is one seed: the run has more networks, in which the quantity is undefined."""
    own = study()
    first = own.images.index.get_level_values("seed") == own.images.index.get_level_values("seed").min()
    own.images.loc[~first, "entropy_fp"] = np.nan
    parts = {part.name: part for part in CLAIMS["1"].parts(own)}
    assert parts["1b_fp"].estimate and parts["1b_fp"].estimate.n_seeds == 1
    assert (of_part(parts["1b_fp"]), parts["1b_fp"].note) == ("undecided", "defined in one seed only")
    assert parts["1a"].note == "" and verdict("1", own) != "these networks only"


def test_the_table_has_parts_wholes_and_all_datasets_together() -> None:
    table = claims({"first": study(), "second": study(annotators=1)})
    whole = table[table["part"] == "all"].set_index(["claim", "dataset"])["verdict"]
    assert set(whole.index) == {(claim, name) for claim in CLAIMS for name in ("first", "second", "all datasets")}
    # A dataset on which a claim cannot be judged says nothing about it.
    assert whole["8", "second"] == "not in this run" and whole["8", "all datasets"] == whole["8", "first"]
    of_both = [part for of in (study(), study(annotators=1)) for part in CLAIMS["1"].parts(of)]
    assert whole["1", "all datasets"] == of_claim(of_both)
    parts = table[table["part"] != "all"]
    assert not parts.duplicated(["claim", "part", "dataset", "model"]).any()
    judged = parts[parts["verdict"].isin(["supported", "contradicted", "undecided"])]
    assert judged[["estimate", "ci_low", "ci_high", "p", "detectable", "effective_patients"]].notna().all(axis=None)
    assert "all datasets" not in set(claims({"first": study()})["dataset"])
