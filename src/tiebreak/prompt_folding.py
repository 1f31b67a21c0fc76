"""Fold prompts, so that spellings of one prompt are equal.

Votes on one prompt are not independent: splits, folds of a cross-validation and intervals keep them together. People
and tools write the same prompt with other cases, white space, Unicode forms, invisible characters and punctuation. A
fold that misses a pair lets a prompt into both sides of a split; one that joins two prompts only makes a group larger.
So it removes much, but not what makes another calculation: `2-2`, `22` and `2.2` stay apart.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_KEPT: Final = "#%&*/@\N{MIDDLE DOT}\N{PER MILLE SIGN}"
"""Punctuation that acts as a symbol: it is never removed."""
_IN_NUMBERS: Final = "-.,:!()[]{}"
"""Punctuation that is kept where it belongs to a number or a calculation."""
_EQUIVALENTS: Final = {
    "\N{MINUS SIGN}": "-",
    "\N{ARABIC DECIMAL SEPARATOR}": ".",
    "\N{ARABIC THOUSANDS SEPARATOR}": ",",
    "\N{ARABIC PERCENT SIGN}": "%",
    "`": "",
    "'": "",
    "\N{RIGHT SINGLE QUOTATION MARK}": "",
}
_INVISIBLE: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Characters without a glyph outside of the categories Cc and Cf: variation selectors, fillers and joiners."""

_OPERATOR: Final = r"+*/=^%<>|~\xd7\xf7\xb7\u221a\u2044"
_OPERAND: Final = rf"\d{_OPERATOR}"
_REMOVED: Final = re.compile(
    rf"""(?=[-.,:!()\[\]{{}}\ ])(?:  # faster: most characters are others
      (?<![{_OPERAND})\]}}]) (?<![{_OPERAND})\]}}]\ ) - (?!\ ?[{_OPERAND}(\[{{.])  # a hyphen outside of calculations
    | \. (?!\d) | (?<=[^\W\d_]) \.                                                # no decimal point
    | (?<!\d) [,:] | [,:] (?!\d)                                                  # 1,000 and 10:30 stay
    | (?<![\d)]) ! | ! (?!\ ?[\w{_OPERATOR}(-])                                   # a factorial that goes on stays
    | (?<![{_OPERAND}\-(\[{{]) (?<![{_OPERAND}\-(\[{{]\ ) [(\[{{][(\[{{\ ]*       # 2*(3+4): after an operand only
    | [)\]}}] (?![)\]}}\ ]*[{_OPERAND}-])                                         # (2+3)*4: before an operand only
    | [-.,:!(\[{{\ ]+ \Z                                                            # nothing to calculate follows
    )""",
    re.VERBOSE,
)
_DIGIT: Final = re.compile(r"\d")
_SPACE: Final = re.compile(r" (?:(?<!\d )|(?!\d))")


class _Table(dict[int, str | None]):
    """A table for `str.translate` that is filled as characters occur; None removes one, at the speed of ASCII."""

    def __init__(self, *, removes_all: bool) -> None:
        super().__init__()
        self._removes_all = removes_all

    def __missing__(self, code: int) -> str | None:
        folded = self[code] = _fold_character(chr(code), removes_all=self._removes_all) or None
        return folded


def _fold_character(character: str, *, removes_all: bool) -> str:
    character = _EQUIVALENTS.get(character, character)
    category = unicodedata.category(character) if character else "Cf"
    if character.isspace():
        folded = " "
    elif category in ("Cc", "Cf") or _INVISIBLE.match(character):
        folded = ""
    elif not category.startswith("P") or character in _KEPT:
        folded = character
    else:
        folded = "-" if category == "Pd" else character if character in _IN_NUMBERS else " "
    return "" if removes_all and (folded == " " or folded in _IN_NUMBERS) else folded


_WITHOUT_DIGITS: Final = _Table(removes_all=True)
_WITH_DIGITS: Final = _Table(removes_all=False)


def fold_prompt(prompt: str) -> str:
    """A prompt without case, Unicode form (NFKC), white space, invisible characters and most punctuation.

    White space stays between two digits. Punctuation stays where it belongs to a number or a calculation, and where it
    is a symbol (`#`, `%`, `&`, `*`, `/`, `@`). A prompt of punctuation only is folded by `fold_prompt_0_1`.

    >>> fold_prompt("What\u2019s 2 - 2 ?") == fold_prompt("what's 2-2")
    True
    >>> fold_prompt("2 - 2"), fold_prompt("2 2"), fold_prompt("22"), fold_prompt("2 + 2")
    ('2-2', '2 2', '22', '2+2')
    """
    text = prompt.casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    if _DIGIT.search(text):
        text = " ".join(text.translate(_WITH_DIGITS).split())
        folded = _SPACE.sub("", " ".join(_REMOVED.sub(" ", text).split()))
    else:
        folded = text.translate(_WITHOUT_DIGITS)
    return folded or fold_prompt_0_1(prompt)


def fold_prompt_0_1(prompt: str) -> str:
    """A prompt without case and extra white space, as Tiebreak 0.1 folded it.

    Older run folders keep hashes of it, and it orders the groups of a split, so that the rows of a seed stay the same.
    """
    return " ".join(prompt.casefold().split())


FOLDS: Final = {1: fold_prompt_0_1, 2: fold_prompt}
"""By the number that a run folder records as `prompt_fold`; one that records none is of 1."""
CURRENT_FOLD: Final = 2
"""The fold of new runs."""
