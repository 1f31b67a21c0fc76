"""Plain technical English: phrases that a reader stumbles over are found, with file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PHRASES = (
    r"(?:is|are|was|were) told",
    r"tells? of",
    r"of (?:itself|themselves)",
    r"(?:of|by) its own accord",
    r"nobody's",
    r"aloud",
    r"no kin",
    r"to mend",
    r"mend(?:s|ed)",
    r"could(?: not)? be had",
    r"can(?:not| not)? be had",
    r"(?:not )?to be had",
    r"that (?:was|were) had",
    r"what (?:it|they) came to",
    r"came of it",
    r"c(?:a|o)mes? about",
    r"go(?:es|ing)? on (?:with|from)",
    r"went on (?:with|from)",
    r"taken for what",
    r"what is said of",
    r"what it says of",
    r"(?:is|are) said",
    r"said to be",
    r"that may be waiting",
    r"is no recipe",
    r"reckon(?:s|ed|ing)?",
    r"anew",
    r"(?:stands?|stood|standing) beside",
    r"beside it",
    r"in the place of",
    r"in silence",
    r"is none of ours",
    r"holds? ties impossible",
    r"(?:the )?surest",
    r"surer",
    r"whichever way",
    r"taken apart",
    r"put together again",
    r"as it were",
    r"hence",
    r"whence",
    r"thereof",
    r"wherein",
    r"thereby",
    r"to and fro",
    r"(?<!nothing )but for",
    r"save for",
    r"lest",
    r"alike but",
    r"is fit to",
    r"unfit",
    r"judges? of pairs",
    r"classical judges?",
    r"the contest",
    r"strangers?",
    r"siblings",
    r"rungs?",
    r"ladders?",
    r"dialects?",
    r"see to",
    r"what goes on",
    r"how good it is said",
)
"""Regular expressions, matched without regard to case and between words.

Left out of the list they come from, because they are plain English in context: `look at`, `children` (of XML or a tree)
and `breakdown`.
"""

ALLOWED = {
    "hence": (r"thus|hence|since",),  # a feature counts these words in answers
    "dialects?": ("csv.Dialect", "excel_tab"),  # the csv module's name for a file's format
    "siblings": ("acyclic_siblings", "siblings_"),  # import-linter's
}
"""Lines that hold one of these texts may match the phrase."""

SCANNED = (
    "src/tiebreak/**/*.py",
    "src/tiebreak/**/*.jinja",
    "src/tiebreak/serving/page/*.html",
    "src/tiebreak/serving/page/*.js",
    "docs/**/*.md",
    "docs/*.py",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
    "recipes/*.yaml",
    "examples/**/*.py",
    "perf/*.py",
    "perf/*.md",
    "experiments/**/*.py",
    "experiments/**/*.md",
)

_BUILT = {"_build", "generated"}

PATTERN = re.compile(
    rf"(?<![\w`])(?:{'|'.join(f'(?P<p{i}>{phrase})' for i, phrase in enumerate(PHRASES))})(?!\w)", re.I
)


def find_phrases(text: str) -> Iterator[tuple[int, str]]:
    """Line numbers and what was found. A phrase may go over the end of a line, and over a comment's mark there."""
    flat = re.sub(r"\n[ \t]*(?:#|//|\*)?[ \t]*", lambda match: " " * len(match[0]), text)
    squeezed, positions = _squeeze(flat)
    lines = text.split("\n")
    for match in PATTERN.finditer(squeezed):
        line = text.count("\n", 0, positions[match.start()]) + 1
        phrase = PHRASES[int((match.lastgroup or "p0")[1:])]
        if not any(allowed in lines[line - 1] for allowed in ALLOWED.get(phrase, ())):
            yield line, match[0]


def _squeeze(text: str) -> tuple[str, list[int]]:
    """The text with one space for several, and where each of its characters was."""
    kept = [i for i, character in enumerate(text) if character != " " or i == 0 or text[i - 1] != " "]
    return "".join(text[i] for i in kept), kept


@pytest.mark.parametrize("pattern", SCANNED)
def test_prose_is_plain(pattern: str) -> None:
    paths = [path for path in sorted(ROOT.glob(pattern)) if not _BUILT & set(path.relative_to(ROOT).parts)]
    assert paths, f"nothing matches {pattern}"
    found = [
        f"{path.relative_to(ROOT).as_posix()}:{line}: {phrase}"
        for path in paths
        for line, phrase in find_phrases(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n" + "\n".join(found)


def test_a_phrase_is_found_over_the_end_of_a_line_and_only_as_whole_words() -> None:
    assert list(find_phrases("x = 1\n# The caller is\n# told why.")) == [(2, "is told")]
    assert list(find_phrases("The ladder.")) == [(1, "ladder")]
    assert list(find_phrases("A renewable, thence, enhance, laddered, bladder")) == []
