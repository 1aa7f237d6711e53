"""Target sets from every source, and what is said of those that cannot be used."""

import json
from pathlib import Path
from typing import Any

import pytest

from entrotune.data.targets import encode_targets, read_target_sets
from entrotune.errors import UserError
from entrotune.models import load_tokenizer

SET = {"request": "Pick one.", "targets": ["a", "b"]}


def written(path: Path, content: Any) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def refused(path: Path, content: Any, *parts: str, **options: Any) -> None:
    source = written(path, content)
    with pytest.raises(UserError) as told:
        read_target_sets([source], **options)
    for part in (path.name, *parts):
        assert part in str(told.value), str(told.value)


def test_json_with_everything(tmp_path: Path) -> None:
    content = {
        "name": "coins",
        "group": "chance",
        "request": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Toss."}],
        "response": ["It is ", "I say "],
        "targets": ["heads", "tails"],
        "weights": [0.25, 0.75],
        "eos": False,
        "mixture": 2,
    }
    (one,) = read_target_sets([written(tmp_path / "x.json", content)])
    assert (one.name, one.group, one.eos, one.mixture) == ("coins", "chance", False, 2.0)
    assert one.request[0] == {"role": "system", "content": "Be brief."}
    assert one.responses == ("It is ", "I say ")
    assert one.weights == (0.25, 0.75)
    assert one.floor == pytest.approx(0.5623, abs=1e-4)


def test_yaml_with_several_sets(tmp_path: Path) -> None:
    text = "sets:\n- {request: One, targets: [a, b]}\n- {request: Two, targets: [c], name: second}\n"
    first, second = read_target_sets([written(tmp_path / "two.yaml", text)])
    assert (first.name, second.name) == ("two-1", "second")
    assert second.source.endswith("two.yaml, set 2")


def test_text_and_bare_lists(tmp_path: Path) -> None:
    text = written(tmp_path / "names.txt", "Ada\nGrace\n")
    bare = written(tmp_path / "bare.json", ["x", "y"])
    under_a_name = written(tmp_path / "animals.json", {"description": "Some.", "animals": ["ape", "bat"]})
    found = read_target_sets([text, bare, under_a_name], request="Who?")
    assert [one.targets for one in found] == [("Ada", "Grace"), ("x", "y"), ("ape", "bat")]
    assert {one.request for one in found} == {"Who?"}
    refused(tmp_path / "names.txt", "Ada\n", "--request")


def test_ranges() -> None:
    (one,) = read_target_sets(["range(1,100)"])
    assert one.targets == tuple(str(number) for number in range(1, 101))
    assert "from 1 to 100" in str(one.request)
    (steps,) = read_target_sets(["range(-4, 4, 4)"])
    assert steps.targets == ("-4", "0", "4")
    for wrong in ("range(5,1)", "range(1,5,0)", "range(1,9999999)", f"range(1,{10**30})"):
        with pytest.raises(UserError, match="range"):
            read_target_sets([wrong])


def test_lists_of_mimesis() -> None:
    fruits, names, path = read_target_sets(["mimesis:fruits", "mimesis:first-names", "mimesis:food.spices"])
    assert "Babaco" in fruits.targets
    assert len(set(names.targets)) == len(names.targets) > 3000
    assert names.merged > 0
    assert len(path.targets) > 50
    with pytest.raises(UserError, match=r"'frutis' in mimesis; expected one of academic_degrees, .*occupations"):
        read_target_sets(["mimesis:frutis"])


def test_folders_and_double_underscores_make_groups(tmp_path: Path) -> None:
    (tmp_path / "numbers").mkdir()
    written(tmp_path / "numbers" / "odd.json", SET)
    written(tmp_path / "days__week.json", SET)
    written(tmp_path / "LICENSE.txt", "no list")
    found = read_target_sets([str(tmp_path)])
    assert {(one.name, one.group) for one in found} == {("days/week", "days"), ("numbers/odd", "numbers")}


def test_mixture_by_set_and_group(tmp_path: Path) -> None:
    sources = [written(tmp_path / f"days__{name}.json", SET) for name in ("a", "b")]
    found = read_target_sets(sources, mixture={"days": 3, "days/b": 0.5})
    assert [one.mixture for one in found] == [3.0, 0.5]
    with pytest.raises(UserError, match="mixture names 'dyas'"):
        read_target_sets(sources, mixture={"dyas": 1})
    with pytest.raises(UserError, match="above 0"):
        read_target_sets(sources, mixture={"days": 0})


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"targets": ["a", "b", "a"]}, ["duplicate", "'a' (target 1, 3)", "higher weight"]),
        ({"targets": ["a", " "]}, ["target 2 is empty"]),
        ({"targets": []}, ["no target"]),
        ({"targets": ["a", 7]}, ["7 is none", "quote it"]),
        ({"targets": "a"}, ["list of texts"]),
        ({"weights": [0.5, 0.6]}, ["sum to 1.1", "divide"]),
        ({"weights": [1.5, -0.5]}, ["weight 2 is -0.5"]),
        ({"weights": [1.0]}, ["2 targets and 1 weights"]),
        ({"weights": ["half", "half"]}, ["list of numbers"]),
        ({"request": ""}, ["request must be"]),
        ({"request": [{"role": "assistant", "content": "x"}]}, ["put what answers begin with into response"]),
        ({"response": ["x", "x"]}, ["twice"]),
        ({"eos": "no"}, ["eos must be true"]),
        ({"mixture": -1}, ["mixture must be a number above 0"]),
        ({"targts": []}, ["'targts'"]),
    ],
)
def test_a_set_that_cannot_be_used(tmp_path: Path, change: dict[str, Any], parts: list[str]) -> None:
    refused(tmp_path / "set.json", SET | change, *parts)


def test_weights_within_tolerance_are_rescaled(tmp_path: Path) -> None:
    (one,) = read_target_sets([written(tmp_path / "x.json", SET | {"weights": [0.3335, 0.6660]})])
    assert sum(one.weights) == pytest.approx(1, abs=1e-15)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    refused(tmp_path / "broken.json", '{"request":\n oops}', "broken.json:2")
    refused(tmp_path / "broken.yaml", "a: [", "not YAML")
    refused(tmp_path / "list.txt", "a\n\nb\n", "line 2 is empty", request="?")
    refused(tmp_path / "numbers.json", [1, 2], "neither a target set")
    refused(tmp_path / "two-lists.json", {"a": ["x"], "b": ["y"]}, "one list of texts", request="?")
    (tmp_path / "latin.txt").write_bytes(b"Jos\xe9\n")
    for source, told in (
        (tmp_path / "latin.txt", "not UTF-8"),
        (tmp_path / "nothing.json", "does not exist"),
        (tmp_path / "empty", "does not exist"),
    ):
        with pytest.raises(UserError, match=told):
            read_target_sets([str(source)], request="?")
    with pytest.raises(UserError, match="no targets were given"):
        read_target_sets([])


def test_names_must_differ(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="several sets are called 'x'"):
        read_target_sets([written(tmp_path / "x.json", SET), written(tmp_path / "x.yaml", json.dumps(SET))])


@pytest.mark.shared_data
def test_the_published_sets_are_read_as_they_are(shared_data: Path) -> None:
    folder = shared_data / "diffuse_distributions"
    sources = [str(path) for path in sorted(folder.glob("*.json")) if "ficticious-people.json" not in path.name]
    found = {one.name: one for one in read_target_sets(sources)}
    assert len(found) == 27
    assert len(found["baby-names/train"].targets) == 200
    assert found["numbers/rng-1"].group == "numbers"
    assert not found["ficticious-people/ficticious-people-train"].eos
    with pytest.raises(UserError, match=r"ficticious-people\.json has no target"):
        read_target_sets([str(folder)])


@pytest.mark.shared_data
def test_the_corpora_lists(shared_data: Path) -> None:
    folder = shared_data / "corpora_lists"
    (animals,) = read_target_sets([str(folder / "animals__common.json")], request="Name an animal.")
    assert "aardvark" in animals.targets
    with pytest.raises(UserError, match="one list of texts"):
        read_target_sets([str(folder / "geography__us_cities.json")], request="Name a city.")


@pytest.mark.shared_data
@pytest.mark.embedded
def test_the_published_sets_are_prefix_free_to_the_embedded_model(shared_data: Path) -> None:
    sources = sorted((shared_data / "diffuse_distributions").glob("*.json"))
    sets = read_target_sets([str(path) for path in sources if "ficticious-people.json" not in path.name])
    encoded = [one for prefixes in encode_targets(sets, load_tokenizer("smollm2-135m")) for one in prefixes]
    assert not any(one.conflicts for one in encoded)
    (hundred,) = (one for one in encoded if one.label == "numbers/rng-1")
    assert len(hundred.trie.children) < 0.7 * sum(map(len, hundred.sequences))
