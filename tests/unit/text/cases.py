"""Comparisons that the tests of the text layer share."""

from __future__ import annotations

from hypothesis import strategies as st

from tiebreak.types import Comparison


def said(letter: str, count: int) -> str:
    """`count` words that are one token each for `words`: "a0 a1 a2"."""
    return " ".join(f"{letter}{i}" for i in range(count))


snippets = st.one_of(
    st.sampled_from(
        ["the", "sky", "is", "blue", "light", " ", "  ", "\n", "\n\n", "\t", "é", "\U0001f600", "中", "a" * 17]
    ),
    st.sampled_from(["<bos>", "<eos>", "<pad>", "<start_of_turn>", "<|end|>", "<|im_start|>", "<b", "os>", "\ud83d"]),
    st.sampled_from(["{prompt}", "{response_a}", "{0}", "%s", "[...]", "User: "]),
)
texts = st.lists(snippets, max_size=30).map("".join)


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    """Conversations of one to four turns, some with a history that both sides share."""
    turns = draw(st.integers(1, 4))
    history = draw(st.integers(0, turns))
    column = st.lists(texts, min_size=turns, max_size=turns).map(tuple)
    prompt, a, b = draw(column), draw(column), draw(column)
    return Comparison(prompt, a, a[:history] + b[history:], vote=(1.0, 0.0, 0.0))
