"""The entropy controller on simulated models, and objectives in which entropy wins."""

import math
import random

import pytest

from entrotune.objectives import Moment, NamedCoefficients, Objective
from entrotune.objectives.controllers import EntropyController
from entrotune.objectives.runaway import entropy_wins, fall
from entrotune.objectives.terms.ce import CrossEntropy
from entrotune.objectives.terms.entropy import Entropy
from entrotune.objectives.terms.gem import Gem


def simulated(controller: EntropyController, *, steps: int, seed: int = 0, gain: float = 4.0, lag: float = 15.0):
    """Mean entropies of a model that follows its coefficient `lag` steps late, with the noise of batches."""
    generator = random.Random(seed)
    entropy, seen, values = 3.0, [], []
    for step in range(1, steps + 1):
        alpha = controller.at(Moment(step - 1, steps))
        entropy += (0.4 + gain * alpha - entropy) / lag
        controller.observe(entropy * (1 + 0.03 * generator.gauss(0, 1)), step)
        seen.append(entropy)
        values.append(alpha)
    return seen, values


@pytest.mark.parametrize("target", [0.6, 1.2, 3.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_reaches_and_holds_the_target(target: float, seed: int) -> None:
    seen, values = simulated(EntropyController(target), steps=400, seed=seed)
    assert all(abs(entropy - target) < 0.05 * target for entropy in seen[300:])
    assert all(0 <= value <= 1 for value in values)


def test_bounds_and_anti_windup() -> None:
    # The target is out of reach for alpha up to 0.2, for long; then the model changes and the target is far below.
    controller = EntropyController(3.0, high=0.2)
    _, values = simulated(controller, steps=500)
    assert max(values) == 0.2
    assert values[-1] == 0.2
    assert controller.integral <= 0.2
    for step in range(501, 520):
        controller.observe(4.0, step)
    # 19 steps of gain 0.01 and error −1 undo at most 0.2 + damping: a wound-up integral would still stand at the bound.
    assert controller.at(Moment()) == 0.0


def test_what_is_out_of_reach_is_told_once() -> None:
    named = NamedCoefficients(
        Objective("ce - alpha*entropy"), {"alpha": {"target_entropy": 2.0, "max": 0.1, "gain": 0.05}}
    )
    told = [line for step in range(1, 200) for line in named.observe(1.0, step)]
    assert len(told) == 1
    assert "alpha has stood at its bound 0.1 and the mean entropy is 1 nats, not 2" in told[0]


@pytest.mark.parametrize(("target", "mean", "noise"), [(3.4, 3.75, 0.3), (1.0, 1.3, 0.2), (3.4, 3.75, 0.15)])
def test_what_is_out_of_reach_is_told_through_noise(target: float, mean: float, noise: float) -> None:
    """A target below what the data give: some steps come near it by chance."""
    told = 0
    for seed in range(10):
        chance = random.Random(seed)
        named = NamedCoefficients(Objective("ce - alpha*entropy"), {"alpha": {"target_entropy": target}})
        lines = [line for step in range(1, 401) for line in named.observe(chance.gauss(mean, noise), step)]
        assert all("bound 0 and" in line for line in lines)
        told += bool(lines)
    assert told >= 9


@pytest.mark.parametrize("entropy", [0.96, 1.04])
def test_within_five_percent_a_bound_is_no_matter(entropy: float) -> None:
    given = {"target_entropy": 1.0, "max": 0.1, "start": 0.1 if entropy < 1 else 0.0}
    named = NamedCoefficients(Objective("ce - alpha*entropy"), {"alpha": given})
    assert [line for step in range(1, 200) for line in named.observe(entropy, step)] == []


@pytest.mark.parametrize("seed", range(5))
def test_a_target_that_is_held_is_not_called_out_of_reach(seed: int) -> None:
    chance = random.Random(seed)
    named = NamedCoefficients(Objective("ce - alpha*entropy"), {"alpha": {"target_entropy": 3.4}})
    assert [line for step in range(1, 401) for line in named.observe(chance.gauss(3.4, 0.3), step)] == []


def test_a_model_on_its_way_is_not_out_of_reach() -> None:
    named = NamedCoefficients(Objective("ce - alpha*entropy"), {"alpha": {"target_entropy": 1.0}})
    assert [line for step in range(1, 200) for line in named.observe(1 + 9 * 0.98**step, step)] == []


def test_update_by_hand() -> None:
    controller = EntropyController(1.0, gain=0.1, damping=0.2, warmup=1, start=0.5)
    controller.observe(0.0, 1)  # warm-up
    assert controller.at(Moment()) == 0.5
    controller.observe(0.5, 2)  # error 0.5: 0.5 + 0.3 · 0.5, of which 0.05 stays
    assert controller.at(Moment()) == pytest.approx(0.65)
    controller.observe(1.0, 3)
    assert controller.at(Moment()) == pytest.approx(0.55)


def test_a_coefficient_that_lowers_entropy_goes_the_other_way() -> None:
    named = NamedCoefficients(Objective("ce + alpha*entropy"), {"alpha": {"target_entropy": 1.0, "start": 0.5}})
    named.observe(2.0, 1)
    assert named.values(Moment())["alpha"] > 0.5


def test_state_goes_on_exactly() -> None:
    whole, first = EntropyController(1.2), EntropyController(1.2)
    errors = [math.sin(step) for step in range(40)]
    for step, error in enumerate(errors, 1):
        whole.observe(1.2 + error, step)
    for step, error in enumerate(errors[:17], 1):
        first.observe(1.2 + error, step)
    second = EntropyController(1.2)
    second.restore(first.state())
    for step, error in enumerate(errors[17:], 18):
        second.observe(1.2 + error, step)
    assert second.state() == whole.state()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"target_entropy": 0}, "expected nats above 0"),
        ({"target_entropy": -1}, "expected nats above 0"),
        ({"target_entropy": "x"}, "expected a number"),
        ({"target_entropy": 1, "gain": 0}, "gain is 0; expected a number above 0"),
        ({"target_entropy": 1, "damping": -1}, "damping is -1"),
        ({"target_entropy": 1, "warmup": 1.5}, "a whole number of steps"),
        ({"target_entropy": 1, "min": 0.5, "max": 0.5}, "min below max"),
        ({"target_entropy": 1, "start": 2}, "start is 2"),
        ({"target_entropy": 1, "integral": 2}, "has integral"),
    ],
)
def test_wrong_controllers_are_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        NamedCoefficients(Objective("ce - alpha*entropy"), {"alpha": given})


@pytest.mark.parametrize("text", ["ce + alpha*kl(ref)", "ce - alpha*beta*entropy", "alpha*ce - alpha*entropy"])
def test_a_controller_needs_an_entropy_of_its_own(text: str) -> None:
    given = dict.fromkeys(Objective(text).names, 0.1) | {"alpha": {"target_entropy": 1.0}}
    with pytest.raises(ValueError, match="alpha must multiply an entropy and nothing else"):
        NamedCoefficients(Objective(text), given)


def test_a_target_beyond_the_vocabulary_is_refused() -> None:
    named = NamedCoefficients(Objective("ce - alpha*entropy"), {"alpha": {"target_entropy": 4.7}})
    with pytest.raises(ValueError, match=r"ln 100 = 4\.605; choose a target below it"):
        named.check_vocabulary(100)
    assert named.check_vocabulary(120) == []


@pytest.mark.parametrize("vocabulary", [2, 50, 5000])
def test_how_far_terms_fall(vocabulary: int) -> None:
    """Cross-entropy and entropy fall from ln V to 0; the gradient of gem is that of β·ce(z/β)."""
    limit = math.log(vocabulary)  # the trapezoid rule is good to about 1e-3 on a slope as steep as that of gem
    assert float(fall(CrossEntropy(), vocabulary)[-1]) == pytest.approx(limit, rel=1e-3)
    assert float(fall(Entropy(), vocabulary)[-1]) == pytest.approx(limit, rel=1e-3)
    assert float(fall(Gem(beta=0.6), vocabulary)[-1]) == pytest.approx(0.6 * limit, rel=2e-3)


@pytest.mark.parametrize(
    ("text", "wins"),
    [
        # Losses that punish too much certainty are least before the end of the way.
        ("label_smoothing(eps=0.2) - 0.3*entropy", False),
        ("label_smoothing(eps=0.1) - 0.7*entropy", False),
        ("label_smoothing(eps=0.1) - 1.5*entropy", True),
        ("ce + 0.01*z_loss - 0.1*entropy", False),
        # No loss at all, and one against a reference that may know what is right.
        ("-entropy", True),
        ("-0.01*entropy", True),
        ("kl(ref) - 5*entropy", True),
        ("kl(ref) - 0.1*entropy", False),
        ("jsd(ref) - 5*entropy", True),
    ],
)
def test_where_entropy_wins(text: str, wins: bool) -> None:
    assert (entropy_wins(Objective(text), 2000) is not None) == wins


def test_a_loss_whose_weight_begins_at_nothing_is_told() -> None:
    named = NamedCoefficients(Objective("alpha*ce - entropy"), {"alpha": {"linear": [0, 1]}})
    assert "there is no loss beside it" in named.check_vocabulary(1000)[0]


def test_what_a_run_is_too_short_for_is_told() -> None:
    def told(course: object, steps: int = 10, epochs: float = 2) -> list[str]:
        return NamedCoefficients(Objective("ce - alpha*entropy"), {"alpha": course}).unreached(steps, epochs)

    assert told({"linear": [0, 0.2], "warmup": 100}) == ["alpha has a warm-up of 100 steps, but the run has 10"]
    assert told({"step": {0: 0.1, 1000: 0.2}}) == ["alpha changes at step 1000, but the run has 10"]
    assert told({"step": {0: 0.1, 2: 0.2}, "per": "epoch"}) == ["alpha changes at epoch 2, but the run has 2"]
    (held,) = told({"target_entropy": 1.2, "warmup": 10})
    assert held == "alpha is held at its start for a warm-up of 10 steps, but the run has 10"
    for fine in (0.1, {"linear": [0, 0.2], "warmup": 0.5}, {"step": {0: 0.1, 9: 0.2}}, {"target_entropy": 1.2}):
        assert told(fine) == []


def test_where_entropy_wins_is_told_with_the_bound() -> None:
    told = entropy_wins(Objective("ce - 1.5*entropy"), 1000)
    assert told is not None
    assert "scores 3.45 nats better" in told  # 0.5 ln 1000
    assert told.endswith("keep the weight of entropy below 1")
    for fine in ("ce", "ce - entropy", "ce - 0.9*entropy", "gem(0.7) - 0.6*entropy", "2*ce - 1.9*entropy"):
        assert entropy_wins(Objective(fine), 1000) is None, fine
    assert str(entropy_wins(Objective("gem(0.7) - 0.8*entropy"), 1000)).endswith("entropy below 0.7")
    schedule = NamedCoefficients(Objective("ce - alpha*entropy"), {"alpha": {"linear": [0, 2]}})
    assert len(schedule.check_vocabulary(1000)) == 1
