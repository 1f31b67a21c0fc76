"""Interpretable features of comparisons: each answer, the prompt, and the similarity of the answers.

A comparison gives three blocks. `shared`, [S], is the same in both orders (the prompt, and the similarity of the
answers); `a` and `b`, [F] each, describe one answer by the same function of (prompt, answer, other answer). Swapping
the answers therefore swaps `a` and `b` and changes nothing else, exactly.

Counts are given as log(1 + n), so that a difference of two is the log of a ratio; shares lie between 0 and 1.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log1p
from typing import TYPE_CHECKING, Final

import numpy as np

from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CHARACTERS: Final = 20_000
"""The features of a text are those of its first characters; only its length counts all of them."""

WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_SENTENCE = re.compile(r"[.!?。！？]+(?=\s|$)|\n+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_LINE = re.compile(r"[^\n]+")

_ANSWER_PATTERNS: Final = {
    "code_fences": re.compile(r"```"),
    "inline_code": re.compile(r"(?<!`)`[^`\n]+`(?!`)"),
    "bullets": re.compile(r"^\s*[-*•]\s+\S", re.M),
    "numbered": re.compile(r"^\s*\(?\d{1,2}[.)]\s+\S", re.M),
    "bold": re.compile(r"\*\*[^*\n]+\*\*"),
    "headings": re.compile(r"^\s*#{1,6}\s+\S", re.M),
    "tables": re.compile(r"^\s*\|.*\|\s*$", re.M),
    "links": re.compile(r"https?://|www\.|\]\("),
    "paragraphs": re.compile(r"\n\s*\n"),
    "colons": re.compile(r":(?=\s|$)"),
    "quotes": re.compile(r"[\"“”«»]"),
    "brackets": re.compile(r"[(\[]"),
    "maths": re.compile(r"\\[a-zA-Z]+|[=+^≤≥√∑∫×÷]|\$[^$\n]+\$"),
    "markup": re.compile(r"</?[a-zA-Z][^>\n]{0,80}>|\\n|###? ?(?:Response|Instruction|Input|Human|Assistant)"),
    "question_marks": re.compile(r"[?？]"),
    "exclamations": re.compile(r"[!！]"),
    "first_person": re.compile(r"\b(?:I|I'm|I've|I'd|I'll|me|my|mine)\b"),
    "second_person": re.compile(r"\b(?:you|your|yours|you're|you'll)\b", re.I),
    "apologies": re.compile(r"\b(?:sorry|apologi[sz]e|apologies|regret|unfortunately)\b", re.I),
    "refusals": re.compile(
        r"\b(?:I (?:can ?not|can't|am (?:not able|unable)|won't|do not have|don't have|do not know|don't know)|"
        r"I'm (?:not able|unable)|as an? (?:AI|language|artificial)\b|language model|not appropriate|"
        r"cannot (?:provide|answer|assist)|not (?:enough|sufficient|clear) )",
        re.I,
    ),
    "hedges": re.compile(
        r"\b(?:may|might|could|perhaps|possibly|probably|likely|generally|usually|often|depends?|some|however)\b", re.I
    ),
    "connectives": re.compile(
        r"\b(?:therefore|because|thus|hence|since|additionally|furthermore|moreover|finally|first|second|then|also)\b",
        re.I,
    ),
    "examples": re.compile(r"\b(?:for example|for instance|such as|e\.g\.|example)\b", re.I),
    "summaries": re.compile(r"\b(?:in conclusion|in summary|overall|to sum up|in short|hope this helps)\b", re.I),
}
"""Patterns counted in an answer."""

_POLITE_OPENING = re.compile(r"\s*(?:sure|certainly|of course|absolutely|great|thank|hello|hi\b|yes\b|here)", re.I)
_COMPLETE_ENDING = re.compile(r"[.!?。！？:;)\]\"'”`*|}>]\s*$")
_COMMON_WORDS: Final = frozenset(
    ("the", "a", "an", "of", "to", "and", "in", "is", "it", "that", "for", "on", "as", "are", "with", "be", "this",
     "by", "or", "at", "from", "was", "which", "can", "not", "have", "has")
)  # fmt: skip

_PROMPT_PATTERNS: Final = {
    "asks_code": re.compile(
        r"```|\b(?:code|python|java(?:script)?|c\+\+|sql|html|css|function|script|regex|program|algorithm|bash)\b", re.I
    ),
    "asks_maths": re.compile(
        r"\b(?:calculate|solve|equation|sum|probability|how many|how much|percent|average|area|proof)\b|"
        r"\d\s*[-+*/=^]\s*\d",
        re.I,
    ),
    "asks_to_write": re.compile(
        r"\b(?:write|compose|draft|create|generate|story|poem|essay|email|letter|song|haiku|slogan)\b", re.I
    ),
    "asks_to_rewrite": re.compile(
        r"\b(?:rewrite|rephrase|paraphrase|edit|correct|fix|improve|translate|convert|change|replace)\b", re.I
    ),
    "asks_summary": re.compile(r"\b(?:summari[sz]e|summary|shorten|tl;?dr|key points|main points)\b", re.I),
    "asks_class": re.compile(
        r"\b(?:classify|categori[sz]e|identify|determine|which of|choose|true or false|label|sentiment|find)\b", re.I
    ),
    "asks_list": re.compile(r"\b(?:list|suggest|recommend|ideas?|ways|tips|examples?|name \w+|give me \d+)\b", re.I),
    "asks_explanation": re.compile(
        r"\b(?:explain|describe|why|how does|how do|what is the difference|compare)\b", re.I
    ),
    "asks_brevity": re.compile(
        r"\b(?:one sentence|one word|a sentence|brief(?:ly)?|short|concise|words or less|only|single)\b", re.I
    ),
    "asks_role": re.compile(r"\b(?:you are|act as|pretend|imagine|role|persona)\b", re.I),
    "asks_opinion": re.compile(r"\b(?:do you|your (?:opinion|favou?rite)|what do you think|should I|are you)\b", re.I),
    "asks_lookup": re.compile(r"\b(?:who|when|where|which|what year|capital|name of)\b", re.I),
    "has_material": re.compile(r"\n\s*(?:input|text|passage|article|context|paragraph)?\s*:?\s*\n|\binput\s*:", re.I),
}
"""Patterns that indicate the kind of prompt: found or not."""

ANSWER_FEATURES: Final[tuple[str, ...]] = (
    "characters", "words", "lines", "sentences", *_ANSWER_PATTERNS, "numbers", "digit_share", "punctuation_share",
    "capital_share", "foreign_share", "space_share", "common_word_share", "variety", "distinct_words",
    "trigram_repetition", "line_repetition", "compression", "word_length", "sentence_length", "longest_sentence",
    "opens_politely", "ends_whole", "ends_asking", "is_empty", "words_from_prompt", "words_of_prompt_used",
    "numbers_from_prompt", "opening_from_prompt", "words_in_other", "numbers_in_other", "opens_as_prompt",
)  # fmt: skip
"""Names of the F features of one answer. They are stored in runs."""
SHARED_FEATURES: Final[tuple[str, ...]] = (
    "turns", "prompt_characters", "prompt_words", "prompt_lines", "prompt_question_marks", "prompt_numbers",
    "prompt_foreign_share", "prompt_capital_share", "prompt_code_fences", "prompt_ends_asking", "prompt_is_empty",
    *_PROMPT_PATTERNS, "identical", "same_words", "same_pairs_of_words", "same_numbers", "same_beginning",
    "same_last_line", "length_ratio", "shorter_words", "longer_words",
)  # fmt: skip
"""Names of the S features that are the same in both orders. They are stored in runs."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Features of N comparisons."""

    shared: NDArray[np.float64]
    """[N, S], named by `SHARED_FEATURES`."""
    a: NDArray[np.float64]
    """[N, F], named by `ANSWER_FEATURES`."""
    b: NDArray[np.float64]
    """[N, F], named by `ANSWER_FEATURES`."""


def extract_features(comparisons: Sequence[Comparison]) -> Features:
    """The features of comparisons. Votes are not used; the turns of a conversation are joined into one text."""
    shared = np.empty((len(comparisons), len(SHARED_FEATURES)))
    a, b = (np.empty((len(comparisons), len(ANSWER_FEATURES))) for _ in "ab")
    for row, comparison in enumerate(comparisons):
        prompt, left, right = (
            _Text("\n".join(turns)) for turns in (comparison.prompt, comparison.answer_a, comparison.answer_b)
        )
        shared[row] = _shared_features(len(comparison.prompt), prompt, left, right)
        a[row] = _answer_features(prompt, left, right)
        b[row] = _answer_features(prompt, right, left)
    return Features(shared, a, b)


class _Text:
    """A text with the parts that several features need."""

    def __init__(self, text: str) -> None:
        self.length = len(text)
        self.text = text[:MAX_CHARACTERS]
        self.words = WORD.findall(self.text.lower())
        self.vocabulary = frozenset(self.words)
        self.numbers = frozenset(_NUMBER.findall(self.text))
        self.lines = [line.strip() for line in _LINE.findall(self.text) if line.strip()]


def _share(part: float, total: float) -> float:
    return part / total if total else 0.0


def _jaccard_index(a: frozenset[str], b: frozenset[str]) -> float:
    """1 for two empty sets."""
    return len(a & b) / len(a | b) if a or b else 1.0


def _answer_features(prompt: _Text, answer: _Text, other: _Text) -> list[float]:
    text, words = answer.text, answer.words
    characters, count = max(len(text), 1), len(words)
    sentences = [len(WORD.findall(s)) for s in _SENTENCE.split(text) if s.strip()]
    raw = text.encode("utf-8", "replace")
    trigrams = list(zip(words, words[1:], words[2:], strict=False))
    content_words = [word for word in prompt.words if word not in _COMMON_WORDS]
    ending = text.rstrip()[-1:]
    return [
        log1p(answer.length),
        log1p(count),
        log1p(len(answer.lines)),
        log1p(len(sentences)),
        *(log1p(len(pattern.findall(text))) for pattern in _ANSWER_PATTERNS.values()),
        log1p(len(answer.numbers)),
        sum(c.isdigit() for c in text) / characters,
        sum(not c.isalnum() and not c.isspace() for c in text) / characters,
        sum(c.isupper() for c in text) / characters,
        0.0 if text.isascii() else sum(ord(c) > 127 for c in text) / characters,
        sum(c.isspace() for c in text) / characters,
        _share(sum(word in _COMMON_WORDS for word in words), count),
        _share(len(answer.vocabulary), count),
        log1p(len(answer.vocabulary)),
        _share(len(trigrams) - len(set(trigrams)), len(trigrams)),
        _share(sum(n - 1 for n in Counter(answer.lines).values()), len(answer.lines)),
        _share(len(zlib.compress(raw, 6)), len(raw)),
        _share(sum(map(len, words)), count),
        log1p(_share(count, len(sentences))),
        log1p(max(sentences, default=0)),
        float(_POLITE_OPENING.match(text) is not None),
        float(_COMPLETE_ENDING.search(text[-80:]) is not None),
        float(ending in "?？" and ending != ""),
        float(not text.strip()),
        _share(sum(word in prompt.vocabulary for word in words), count),
        _share(sum(word in answer.vocabulary for word in content_words), len(content_words)),
        _share(len(answer.numbers & prompt.numbers), len(prompt.numbers)),
        _share(sum(word in prompt.vocabulary for word in words[:12]), len(words[:12])),
        _share(len(answer.vocabulary & other.vocabulary), len(answer.vocabulary)),
        _share(len(answer.numbers & other.numbers), len(answer.numbers)),
        float(bool(words) and words[:4] == prompt.words[:4]),
    ]


def _shared_features(turns: int, prompt: _Text, a: _Text, b: _Text) -> list[float]:
    text, characters = prompt.text, max(len(prompt.text), 1)
    bigrams_a, bigrams_b = (frozenset(map(" ".join, zip(x.words, x.words[1:], strict=False))) for x in (a, b))
    shorter, longer = sorted((len(a.words), len(b.words)))
    common_prefix = next((i for i, (x, y) in enumerate(zip(a.words, b.words, strict=False)) if x != y), shorter)
    last_a, last_b = (x.lines[-1].lower() if x.lines else "" for x in (a, b))
    return [
        float(turns),
        log1p(prompt.length),
        log1p(len(prompt.words)),
        log1p(len(prompt.lines)),
        log1p(text.count("?")),
        log1p(len(prompt.numbers)),
        0.0 if text.isascii() else sum(ord(c) > 127 for c in text) / characters,
        sum(c.isupper() for c in text) / characters,
        log1p(text.count("```")),
        float(text.rstrip().endswith(("?", "？"))),
        float(not text.strip()),
        *(float(pattern.search(text) is not None) for pattern in _PROMPT_PATTERNS.values()),
        float(a.text == b.text and a.length == b.length),
        _jaccard_index(a.vocabulary, b.vocabulary),
        _jaccard_index(bigrams_a, bigrams_b),
        _jaccard_index(a.numbers, b.numbers),
        _share(common_prefix, shorter),
        float(last_a == last_b),
        abs(log1p(a.length) - log1p(b.length)),
        log1p(shorter),
        log1p(longer),
    ]
