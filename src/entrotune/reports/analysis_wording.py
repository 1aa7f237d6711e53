"""What an analysis of scores found, in sentences that do not call significant what is only tiny."""

from collections.abc import Mapping, Sequence
from typing import Any

from entrotune.reports.numbers import format_count, format_number, read_estimate

Record = Mapping[str, Any]
_SIZES = ((0.5, "small"), (0.8, "moderate"), (float("inf"), "large"))


def analysis_sentences(record: Record) -> list[str]:
    """What was analysed and what was found, one sentence or two each; only what the record holds."""
    return (_of_models if record["analysis"] == "models" else _of_correctness)(record)


def format_p(p: float) -> str:
    """`p = 0.012`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def effect_size(found: Record, thresholds: Record) -> str:
    """`tiny`, `small`, `moderate` or `large`: tiny below both thresholds, of |d| and of |AUC − 0.5|."""
    d, off = abs(found["cohens_d"]["value"]), abs(found["auc"]["value"] - 0.5)
    if d < thresholds["cohens_d"] and off < thresholds["auc"]:
        return "tiny"
    return next(word for limit, word in _SIZES if d < limit)


def _of_models(record: Record) -> list[str]:
    labels = [model["label"] for model in record["models"]]
    metrics = record.get("metrics") or {}
    data = record.get("data") or {}
    sentences = [f"{len(labels)} models scored the same {format_count(data.get('rows'))} rows: {_listed(labels)}."]
    left = {name: count for name, count in (data.get("left_out") or {}).items() if count}
    if left:
        told = _listed([f"{format_count(count)} of {name}" for name, count in left.items()])
        sentences.append(f"Rows that another model has not scored are left out: {told}.")
    cut = {name: count for name, count in (data.get("rows_cut") or {}).items() if count}
    if cut:
        told = _listed([f"{format_count(count)} rows by {name}" for name, count in cut.items()])
        sentences.append(f"Rows that were too long were scored up to a limit only: {told}.")
    unknown = {name: count for name, count in (data.get("rows_unknown") or {}).items() if count}
    if unknown:
        told = _listed([f"{format_count(count)} rows by {name}" for name, count in unknown.items()])
        sentences.append(
            f"Some rows hold tokens that the tokenizer does not know ({told}): their numbers, those a byte "
            "included, are not those of the text."
        )
    if len(record.get("tokenizers") or []) > 1:
        groups = "; ".join(_listed(group) for group in record["tokenizers"])
        sentences.append(
            f"These models cut text into different tokens ({groups}). Numbers a token of one do not compare with those "
            "of another: ranks and correlations remain meaningful, differences do not; compare numbers a byte."
        )
    for name, found in metrics.items():
        comparable = (record.get("comparable") or {}).get(name, True)
        sentences += _of_metric(found, labels, comparable=comparable)
    return sentences


def _of_metric(found: Record, labels: Sequence[str], *, comparable: bool) -> list[str]:
    name, size = found["label"], len(labels)
    sentences = []
    pairs = [(i, j) for i in range(size) for j in range(i)]
    rho = sorted(((found["spearman"][i][j]["value"], labels[j], labels[i]) for i, j in pairs), key=lambda one: one[0])
    if size == 2:
        shown = read_estimate(found["spearman"][1][0])
        sentences.append(f"By {name}, ranks of rows correlate at {_with_interval(shown)} (Spearman).")
    else:
        low, high = rho[0], rho[-1]
        sentences.append(
            f"By {name}, ranks of rows correlate from {format_number(low[0])} ({low[1]} and {low[2]}) to "
            f"{format_number(high[0])} ({high[1]} and {high[2]}; Spearman)."
        )
    first = found["components"]["first"]
    sentences.append(
        f"The first principal component holds {_percent(first['value'])} of the variance of {name} over models "
        f"(95% interval {_percent(first['low'])} to {_percent(first['high'])})."
    )
    sentences.append(_agreement(found))
    if not comparable:
        sentences.append(f"Tokenizers differ, so levels of {name} do not compare between models.")
    return sentences


def _agreement(found: Record) -> str:
    contrast, alpha = found["agreement"]["contrast"], 0.05
    observed, null = contrast["observed"], contrast["null"]
    base = (
        f"ranks by {found['label']} spread {format_number(abs(observed))} {'less' if observed > 0 else 'more'} in the "
        f"outer tenths than in the middle, where bounded ranks alone give {format_number(null['value'])} less "
        f"({format_number(null['low'])} to {format_number(null['high'])})"
    )
    if contrast["p"] >= alpha:
        return f"Agreement at the extremes is what bounded ranks give, nothing beyond is shown: {base}, " + (
            f"{format_p(contrast['p'])}."
        )
    way = "more" if contrast["excess"]["value"] > 0 else "less"
    return f"Models agree {way} at the extremes than bounded ranks explain: {base}, {format_p(contrast['p'])}."


def _of_correctness(record: Record) -> list[str]:
    data = record.get("data") or {}
    if not record.get("predictors"):
        return ["This record holds no predictors."]
    sentences = [_subject(record, data), *_answers(record)]
    sentences += [_predictor(record, name) for name in record["predictors"]]
    sentences += [_nested(entry, record) for entry in record["nested"] if entry["added"].startswith("varentropy")]
    return sentences + _confounds(record)


def _subject(record: Record, data: Record) -> str:
    rows, right = data["rows"], data["right"]
    without = data.get("without_label") or 0
    left = f"; {format_count(without)} scored rows without a label are left out" if without else ""
    model = record["models"][0]["label"] if record["models"] else "the model"
    share = _percent(right / rows)
    return f"Of {format_count(rows)} rows scored by {model}, {format_count(right)} are right ({share}){left}."


def _answers(record: Record) -> list[str]:
    told = record.get("answers")
    if not told:
        return []
    by = told["normalise"]
    other = "tokens" if by == "bytes" else "bytes"
    accuracy = told["accuracy"]
    sentences = [
        f"Right means that {told['model']['name']} finds the right ending the most probable by {by}: "
        f"{_percent(accuracy[by]['value'])} ({_percent(accuracy[by]['low'])} to {_percent(accuracy[by]['high'])}); by "
        f"{other} it is {_percent(accuracy[other]['value'])}, by chance {_percent(told['chance'])}."
    ]
    if not told["same_model_as_scores"]:
        sentences.append("The scores are of another model than the answers.")
    return sentences


def _predictor(record: Record, name: str) -> str:
    found, limits = record["predictors"][name], record["thresholds"]
    regime = next(one for one in record["regimes"] if one["predictors"] == [name])
    label = capital(found["label"])
    numbers = (
        f"d = {_with_interval(read_estimate(found['cohens_d']))}, "
        f"AUC = {_with_interval(read_estimate(found['auc']))}, {format_p(regime['p'])}"
    )
    if regime["p"] >= limits["p"]:
        return f"{label}: no effect shown ({numbers})."
    way = "higher" if found["cohens_d"]["value"] > 0 else "lower"
    count = len(record["regimes"])
    if regime["p_holm"] >= limits["p"]:
        return f"{label}: {way} in right rows, but not beyond chance once {count} regimes are counted ({numbers})."
    numbers += f"; corrected {format_p(regime['p_holm'])}"
    size = effect_size(found, limits)
    verdict = "significant but tiny" if size == "tiny" else f"significant and {size}"
    return f"{label}: {way} in right rows, {verdict} ({numbers})."


def _nested(entry: Record, record: Record) -> str:
    added, given = (record["predictors"][entry[key]]["label"] for key in ("added", "given"))
    numbers = f"(χ² = {format_number(entry['chi2'])}, {format_p(entry['p'])}, corrected {format_p(entry['p_holm'])})"
    if entry["p_holm"] < record["thresholds"]["p"]:
        return f"Given {given}, {added} adds to the prediction {numbers}."
    return f"Given {given}, no addition by {added} is shown {numbers}."


def _confounds(record: Record) -> list[str]:
    alpha = record["thresholds"]["p"]
    adjusted = record["confounds"]["adjusted"]
    plain = {entry["predictor"]: entry for entry in adjusted if entry["covariates"] == "none"}
    if len(plain) == len(adjusted):
        return ["Length and source do not vary or are not known, so nothing could be held fixed."]
    found: dict[str, dict[str, list[str]]] = {"vanish": {}, "remain": {}, "appear": {}}
    for entry in adjusted:
        before = plain[entry["predictor"]]
        if entry["covariates"] == "none" or "problem" in entry or "problem" in before:
            continue
        was, stays = before["p_holm"] < alpha, entry["p_holm"] < alpha
        if was or stays:
            kind = "remain" if was and stays else "vanish" if was else "appear"
            label = record["predictors"][entry["predictor"]]["label"]
            told = label if kind == "remain" else f"{label} ({_change(before, entry)})"
            found[kind].setdefault(entry["covariates"], []).append(told)
    sentences = [
        *(
            f"With {key} held fixed, no effect is shown any more for {_listed(v)}."
            for key, v in found["vanish"].items()
        ),
        *(f"With {key} held fixed, the effect remains for {_listed(v)}." for key, v in found["remain"].items()),
        *(f"Only with {key} held fixed is an effect shown for {_listed(v)}." for key, v in found["appear"].items()),
    ]
    return sentences or ["No score has an effect that is shown, with or without length and source held fixed."]


def _change(before: Record, after: Record) -> str:
    first, second = (format_number(entry["per_sd"]["value"]) for entry in (before, after))
    return f"{first} → {second} a standard deviation, corrected {format_p(after['p_holm'])}"


def _with_interval(shown: Any) -> str:
    return f"{shown.text} [{shown.interval_text}]" if shown.has_interval else shown.text


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def capital(text: str) -> str:
    """The text with its first letter large, the rest as it is."""
    return text[0].upper() + text[1:]


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))
