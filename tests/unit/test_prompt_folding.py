"""Spellings of one prompt fold to one text; other prompts do not."""

from __future__ import annotations

import random
import unicodedata
from itertools import combinations

import pytest

from tiebreak.data import split_by_prompt
from tiebreak.prompt_folding import fold_prompt, fold_prompt_0_1
from tiebreak.types import Comparison

SUBJECTS = (
    "What is the capital of France", "Écris un poème sur l'été à Zürich", "Explain the ﬁrst law, please",
    "写一首关于春天的诗", "서울의 날씨를 알려줘", "ドラゴンボールについて教えて", "Напиши письмо другу",
    "What is 17 + 25",
    "Solve 2*(3 - 4) = x", "Is 3.14 larger than 3,000", "Summarise: don't stop me now", "اكتب قصة قصيرة عن البحر",
    "नमस्ते दुनिया का मतलब बताओ", "Compare C++ and C# in 2024", "Straße, Fuß und Größe",
)  # fmt: skip
PROMPTS = [f"{subject} {ending}" for subject in SUBJECTS for ending in ("today", "briefly", "№ 5", "for Ångström")]
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\ufe0f"


ENDINGS = ("?", "!", ".", " ?!", "...", "\u2026", "\uff1f", "\u3002", ":", " \u2014", ")")
PAIRS = ('""', "\u201c\u201d", "\u00ab\u00bb", "\u300c\u300d", "()")


def spellings(prompt: str, rng: random.Random) -> list[str]:
    """The prompt in every Unicode form, full width, cases, spaces, with invisible characters and punctuation."""
    at = rng.randrange(len(prompt) + 1)
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in prompt)
    return [
        *(unicodedata.normalize(form, prompt) for form in ("NFC", "NFD", "NFKC", "NFKD")),
        prompt.upper(),
        wide,
        wide.replace(" ", "\u3000"),
        prompt.replace("'", "\u2019"),
        f"\ufeff  {prompt}\r\n",
        prompt.replace(" ", "\u00a0\t"),
        prompt[:at] + rng.choice(INVISIBLE) + prompt[at:],
        "".join(character + rng.choice(INVISIBLE) for character in prompt),
        *(prompt + ending for ending in ENDINGS),
        *(f"{opening}{prompt}{closing}" for opening, closing in PAIRS),
        f"\u00bf{prompt}?",
    ]


def test_all_spellings_of_60_prompts_are_on_one_side_of_a_split() -> None:
    assert len(PROMPTS) == 60
    rng = random.Random(0)
    rows = [
        Comparison((spelling,), ("a",), ("b",), id=f"{number}")
        for number, prompt in enumerate(PROMPTS)
        for spelling in (prompt, *spellings(prompt, rng))
    ]
    assert len({row.folded_prompt for row in rows}) == 60
    for seed in range(5):
        training, validation = split_by_prompt(rows, validation_rows=None, validation_share=0.5, seed=seed)
        assert len(validation) == len(rows) / 2
        assert {row.id for row in training}.isdisjoint(row.id for row in validation)


@pytest.mark.parametrize(
    "prompts",
    [
        ("2+2", "2-2", "2*2", "2/2", "2%2", "22", "2 2", "2.2", "2,2", "2:2", "2^2", "2=2", "2<2", "2>2", "2÷2", "2×2"),
        ("-5 + 3", "5 + 3", "5 - 3", "5 + -3", "-5 - 3"),
        ("What is .5 + 1?", "What is 5 + 1?", "What is 5.1?", "What is 5! + 1?", "What is 50% of 1?"),
        ("(2+3)*4", "2+(3*4)", "2*(3+4)", "2*3+4", "2*((3+4)*5-1)", "2*(3+4)*5-1", "-(2+3)*4"),
        ("? + 2 = 5", "2 + ? = 5", "2 + 5 = ?"),
        ("x + y", "x * y", "x / y", "x = y"),
        ("x - 2", "x + 2", "2 - x", "2 + x", "2x"),
        ("1, 2, 3", "12, 3", "1, 23", "123", "1.2, 3"),
        ("C", "C++", "C#", "R&D", "R/D"),
        ("???", "!!!", "", "\U0001f600", "\U0001f601"),
        ("resume", "résumé", "rename"),
    ],
)
def test_different_prompts_stay_apart(prompts: tuple[str, ...]) -> None:
    for one, other in combinations(prompts, 2):
        assert fold_prompt(one) != fold_prompt(other)


def test_arithmetic_in_other_spellings_is_the_same() -> None:
    same = (
        "What is 2 - 2?",
        "what is 2-2",
        "What is 2 \u2212 2",
        "\u201cWhat is 2 \u2013 2?\u201d",
        "What  is 2\u20112 ?!",
    )
    assert {fold_prompt(prompt) for prompt in same} == {"whatis2-2"}


def test_the_new_fold_is_coarser_than_that_of_older_runs() -> None:
    """So prompts that an older run tells apart by more than case and white space are joined, and none is separated."""
    rng = random.Random(1)
    for prompt in PROMPTS:
        for spelling in spellings(prompt, rng):
            assert fold_prompt(fold_prompt_0_1(spelling)) == fold_prompt(spelling)
