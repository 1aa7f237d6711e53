"""How people word the values of a meaning representation, by slot and value.

The slots and values are those of the E2E challenge (Novikova et al. 2017, arXiv 1706.09254). Its texts are crowdsourced
and paraphrase: £20-25 becomes "moderately priced". A slot or value without patterns is looked for word by word.
Patterns miss some wordings and take some wrong ones: they compare systems, they do not certify a text. How often
people's own texts are found to realise their slots is told in the documentation.
"""

import regex


def _priced(level: str) -> str:
    """A level that is said of prices: "high price range", "prices are high"; not "highly rated"."""
    about = r"(?:pric\w*|costs?|range)"
    other = r"(?!rat|customer|but|and|with)"
    before = rf"(?:{level})(?:[ -]{other}\w+){{0,2}}?[ -]{about}"
    return rf"{before}|{about}(?: {other}\w+){{0,3}} (?:{level})"


def _rated(level: str) -> str:
    """A level that is not said of prices."""
    return rf"(?:{level})(?![- ](?:pric|cost|end|class))"


_CHILD = r"(?:famil(?:y|ies)|kid|child(?:ren)?)s?"
_NOT = (
    r"(?:no|not|non|isn't|aren't|don't|doesn't|never|without|un|neither|nor|lacks?|lacking|unsuitable|discourages?"
    r"|isnt|doesnt)"
)
_CHEAP = (
    r"cheap|cheaply|cheaper|inexpensive|inexpensively|affordable|budget|reasonabl[ey]|"
    + _priced("low|lower")
    + "|low-cost"
)
_DEAR = r"expensive|pricey|pricier|costly|upscale|upmarket|up-market|high-end|" + _priced("high|higher|highly")
_MIDDLE = r"reasonabl[ey]|" + _priced("moderate|moderately|average|averagely|averaged|medium|mid|middle|fair|fairly")
_STARS = r"[- ]?stars?"
_OF_FIVE = r"[- ]?(?:stars? |points? )?(?:(?:out )?of|out|/|-) ?(?:5|five)"

PATTERNS: dict[str, dict[str, str]] = {
    "eattype": {
        "restaurant": r"restaurants?",
        "pub": r"pubs?",
        "coffeeshop": r"coffee[- ]?(?:shop|house|place|bar)s?|caf[eé]s?",
    },
    "food": {
        "english": r"english|british",
        "chinese": r"chinese",
        "fastfood": r"fast[- ]?foods?",
        "italian": r"italian|pasta|pizzas?",
        "french": r"french",
        "indian": r"indian|curry|curries",
        "japanese": r"japanese|sushi",
    },
    "area": {
        "citycentre": r"(?:city|town)[- ]?(?:centre|center)|(?:centre|center|middle|heart) of (?:the )?(?:city|town)"
        r"|(?:in|within) the (?:city|centre|center)|central|downtown",
        "riverside": r"river(?:[- ]?(?:side|bank|front))?|waterside|by the (?:water|thames)",
    },
    "pricerange": {
        "cheap": _CHEAP,
        "lessthan£20": r"(?:less tha[nt]|less then|under|below|cheaper than|up to|lower than|within) (?:£ ?)?20"
        rf"|£ ?20 or less|{_CHEAP}",
        "moderate": _MIDDLE,
        "£20-25": rf"£? ?20(?:\.00)? ?(?:-|–|to|and) ?£? ?25|{_MIDDLE}",
        "high": _DEAR,
        "morethan£30": r"(?:more than|more then|more|over|above|higher than|exceed\w*|upwards of|at least|from)"
        rf" (?:£ ?)?30|£ ?30 ?(?:\+|plus|and (?:up|over|above)|or more)|{_DEAR}",
    },
    "customerrating": {
        "low": _rated("low|lower|lowly|lowest|poor|poorly|bad|badly")
        + rf"|not (?:well|highly)|(?:1|one)(?:{_OF_FIVE}|{_STARS})",
        "average": _rated(
            "average|averagely|averaged|moderate|moderately|medium|mid|decent|okay|ok|mediocre|fair|fairly"
        )
        + rf"|satisfactory|(?:3|three)(?:{_OF_FIVE}|{_STARS})",
        "high": _rated("high|highly|higher|highest|excellent|great|top|good|well")
        + rf"|(?:5|five)(?:{_OF_FIVE}|{_STARS})",
        "1outof5": rf"(?:1|one)(?:{_OF_FIVE}|{_STARS})|" + _rated("low|lowly|poor|poorly"),
        "3outof5": rf"(?:3|three)(?:{_OF_FIVE}|{_STARS})|" + _rated("average|averagely|moderate|moderately|mid"),
        "5outof5": rf"(?:5|five)(?:{_OF_FIVE}|{_STARS})|" + _rated("high|highly|highest|excellent|perfect|top"),
    },
}
"""Slot and value, in lower case and without spaces → a pattern of whole words."""

FAMILY = regex.compile(rf"\b{_CHILD}\b", regex.IGNORECASE)
"""Families or children are mentioned."""

REFUSED = regex.compile(
    rf"(?:\b{_NOT}\b|n't\b)[^.;!?]{{0,40}}\b{_CHILD}\b"
    rf"|\b{_CHILD}\b[^.;!?]{{0,25}}?(?:\b{_NOT}\b|n't\b|\bunfriendly\b|\bprohibited\b|\bunwelcome\b)"
    r"|\badults?[- ](?:only|establishment|oriented|venue|friendly)\b|\badults?\b(?! and)",
    regex.IGNORECASE,
)
"""Families or children are refused, or the place is for adults."""
