"""The policy's chat template: by name, from a file, from a tokenizer's folder, or detected."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tiebreak import ModelError
from tiebreak.data.chat_templates import KNOWN_TEMPLATES, PLAIN, TemplateDetector, known_parser
from tiebreak.rewards.policy import policy_parser
from tiebreak.runs import RunFolder

SOURCE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant>{% endif %}"
)
PROMPT = "<|user>q<eos><|assistant>"
PARSED = ((("user", "q"),), "a")


@pytest.fixture
def folder(tmp_path: Path, tiny_base: Any) -> str:
    """A tokenizer with a chat template that has no name."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    tokenizer.add_special_tokens({"eos_token": "<eos>"})
    tokenizer.chat_template = SOURCE
    tokenizer.save_pretrained(tmp_path / "policy")
    return str(tmp_path / "policy")


def test_by_name() -> None:
    assert policy_parser("none") is PLAIN
    assert policy_parser("phi3") is known_parser("phi3")
    assert isinstance(policy_parser(), TemplateDetector)


def test_from_the_folder_of_a_tokenizer(folder: str) -> None:
    parser = policy_parser(folder)
    assert parser.parse_completion(f"<bos>{PROMPT}", "a<eos><pad>") == PARSED
    assert parser.parse_chat(f"{PROMPT}a<eos>") == PARSED
    assert parser.parse_completion("<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n", "a") is None
    assert policy_parser().parse_completion(PROMPT, "a<eos>") is None


def test_the_base_models_template_is_tried_first(folder: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    shutil.copytree(folder, run.model)
    parser = policy_parser(run=run.path)
    assert parser.parse_completion(PROMPT, "a<eos>") == PARSED
    assert parser.parse_completion("<|user|>\nq<|end|>\n<|assistant|>\n", "a<|end|>") == PARSED
    assert parser.parse_completion("User: q\nAssistant:", "a") is None
    shutil.rmtree(run.model)  # as for a judge without a tokenizer
    assert policy_parser(run=run.path).parse_completion(PROMPT, "a<eos>") is None


def test_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "template.jinja"
    path.write_text(SOURCE.replace("{{ eos_token }}", "<eos>"), encoding="utf-8")
    assert policy_parser(str(path)).parse_completion(PROMPT, "a<eos>") == PARSED
    path.write_text(SOURCE, encoding="utf-8")
    with pytest.raises(ModelError, match=r"uses eos_token, and a \.jinja file does not say what that is"):
        policy_parser(str(path))
    path.write_text("{{ messages[-1].content }}", encoding="utf-8")
    with pytest.raises(ModelError, match=r"template\.jinja cannot be inverted.*Name a template.*chatml"):
        policy_parser(str(path))
    with pytest.raises(ModelError, match=r"missing\.jinja cannot be read as a chat template"):
        policy_parser(str(tmp_path / "missing.jinja"))


def test_a_model_without_a_chat_template(tiny_base: Any) -> None:
    with pytest.raises(ModelError, match=r"has no chat template\. Give the policy's folder.*'none'"):
        policy_parser(str(tiny_base))


def test_the_documentation_lists_every_name() -> None:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "serving.md"
    listed = page.read_text(encoding="utf-8").partition("known by name are tried: ")[2].partition(". Name")[0]
    assert sorted(re.findall(r"`([^`]+)`", listed)) == sorted(KNOWN_TEMPLATES)


def test_names_are_not_files_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chatml").mkdir()
    assert policy_parser("chatml") is known_parser("chatml")
    assert len(KNOWN_TEMPLATES) > 25
