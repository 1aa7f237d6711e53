"""`doctor`: what it says of a sound installation, and of one that is not."""

import os
from pathlib import Path

import pytest

from entrotune import doctor
from entrotune.errors import UserError


def _check(found: dict, name: str) -> dict:
    return next(check for check in found["checks"] if check["name"] == name)


@pytest.mark.parametrize(
    "objective", ["ce - 0.1*entropy", "gem(beta=0.7)", "focal(gamma=2) + 0.1*varentropy", "ce + 0.1*kl(ref)"]
)
def test_a_sound_installation(objective: str) -> None:
    found = doctor(objective=objective)
    assert found["objective"] == objective
    names = ["versions", "device", "embedded model", "chat data", "disk", "gradient", "gpu kernel", "training"]
    assert [check["name"] for check in found["checks"]] == names
    for name in ("versions", "device", "chat data", "gradient", "gpu kernel", "training"):
        assert _check(found, name)["ok"], _check(found, name)
    assert "torch" in _check(found, "versions")["found"]
    assert "relative error" in _check(found, "gradient")["found"]


def test_an_objective_with_a_typo() -> None:
    with pytest.raises(UserError, match="did you mean 'entropy'"):
        doctor(objective="ce - 0.1*entrpy")


def test_an_objective_without_numbers_is_not_called_a_defect() -> None:
    with pytest.raises(UserError, match=r"coefficient alpha .* has no value here; write a number in its place"):
        doctor(objective="ce - alpha*entropy")


def test_an_objective_that_does_not_learn_is_told_with_a_remedy() -> None:
    found = doctor(objective="varentropy - 100*entropy")
    training = _check(found, "training")
    assert training["ok"] == ("→" in training["found"])
    assert found["ok"] == all(check["ok"] for check in found["checks"])


@pytest.mark.skipif(os.name != "posix", reason="/proc is a file system of Linux")
def test_a_disk_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc").is_dir():
        pytest.skip("no /proc, a file system that never has room")
    monkeypatch.setenv("ENTROTUNE_CACHE", "/proc")
    found = doctor()
    disk = _check(found, "disk")
    assert not found["ok"]
    assert not disk["ok"]
    assert "0.0 GiB free at /proc" in disk["found"]
    assert "ENTROTUNE_CACHE" in disk["remedy"]
