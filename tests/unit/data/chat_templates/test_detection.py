"""Texts that the templates of model families rendered are recognized without naming the template."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tiebreak.data.chat_templates import (
    KNOWN_TEMPLATES,
    PLAIN,
    ChatTemplate,
    ChatTemplateParser,
    TemplateDetector,
    known_parser,
)
from tiebreak.data.messages import Message

AUTO = TemplateDetector([known_parser(name) for name in KNOWN_TEMPLATES])

# The templates of the models, without their parts for tools and images.

GEMMA_2 = """{{ bos_token }}{% for m in messages %}
{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + m.content | trim + '<end_of_turn>\\n' }}
{%- endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"""

GEMMA_3 = """{{ bos_token }}
{%- set prefix = messages[0].content + '\\n\\n' if messages[0].role == 'system' else '' -%}
{%- for m in (messages[1:] if prefix else messages) -%}
{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + (prefix if loop.first else '') }}
{{- m.content | trim }}{{ '<end_of_turn>\\n' }}
{%- endfor -%}{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}"""

GEMMA_4 = """{{- bos_token -}}
{%- if enable_thinking or messages[0].role == 'system' -%}{{ '<|turn>system\\n' }}
{{- '<|think|>\\n' if enable_thinking else '' }}
{{- messages[0].content | trim if messages[0].role == 'system' else '' }}{{ '<turn|>\\n' }}{%- endif -%}
{%- for m in messages if m.role != 'system' -%}
{{ '<|turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + m.content | trim + '<turn|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|turn>model\\n' }}
{{- '' if enable_thinking else '<|channel>thought\\n<channel|>' }}{%- endif -%}"""

CHATML = """{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

QWEN_2_5 = (
    """{% if messages[0].role != 'system' %}{{ '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are '
+ 'a helpful assistant.<|im_end|>\\n' }}{% endif %}"""
    + CHATML
)

QWEN_3 = CHATML.replace(
    "{% endif %}", "{{ '<think>\\n' + ('' if enable_thinking else '\\n</think>\\n\\n') }}{% endif %}"
)

LLAMA_3 = """{% for m in messages %}{{ bos_token if loop.first else '' }}
{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

LLAMA_3_1 = (
    """{{- bos_token }}{{- '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December 2023\\n' }}
{{- 'Today Date: 26 Jul 2024\\n\\n' }}
{{- messages[0].content | trim if messages[0].role == 'system' else '' }}{{ '<|eot_id|>' }}
{%- set bos_token = '' %}{%- set messages = messages[1:] if messages[0].role == 'system' else messages %}"""
    + LLAMA_3
)

LLAMA_2 = """{% set system = messages[0].content if messages[0].role == 'system' else false %}
{% for m in messages if m.role != 'system' %}
{% if loop.first and system != false %}{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + m.content %}
{% else %}{% set content = m.content %}{% endif %}
{% if m.role == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}
{% endfor %}""".replace("\n{%", "{%")

MISTRAL_V1 = """{{ bos_token }}{% for m in messages %}
{{- '[INST] ' + m.content + ' [/INST]' if m.role == 'user' else m.content + eos_token }}{% endfor %}"""

MISTRAL_V3 = """{{- bos_token }}{%- for m in messages %}
{{- '[INST] ' + m.content + '[/INST]' if m.role == 'user' else ' ' + m.content | trim + eos_token }}{%- endfor %}"""

MISTRAL_V7 = """{{- bos_token }}{%- for m in messages %}
{%- if m.role == 'system' %}{{- '[SYSTEM_PROMPT]' + m.content + '[/SYSTEM_PROMPT]' }}
{%- else %}{{- '[INST]' + m.content + '[/INST]' if m.role == 'user' else m.content + eos_token }}{%- endif %}
{%- endfor %}"""

DEEPSEEK_R1 = """{{ bos_token }}{% for m in messages %}
{%- if m.role == 'user' %}{{ '<｜User｜>' + m.content }}
{%- elif m.role == 'assistant' %}{{ '<｜Assistant｜>' + m.content + '<｜end▁of▁sentence｜>' }}
{%- else %}{{ m.content }}{% endif %}
{%- endfor %}{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}"""

DEEPSEEK_V3_1 = DEEPSEEK_R1.replace("<think>\\n", "</think>").replace(
    "｜>' + m.content + '", "｜></think>' + m.content + '"
)


@dataclass(frozen=True)
class Family:
    """A template, its tokens, whether it supports system messages, and whether it keeps spaces around texts."""

    template: str
    bos: str = ""
    eos: str = ""
    system: bool = True
    exact: bool = False
    thinking: bool = False
    opened: str = ""

    def render(self, messages: list[Message], *, add_generation_prompt: bool) -> str:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)  # as transformers has it
        return environment.from_string(self.template).render(
            messages=[{"role": role, "content": content} for role, content in messages],
            add_generation_prompt=add_generation_prompt,
            bos_token=self.bos,
            eos_token=self.eos,
            enable_thinking=self.thinking,
        )

    @cached_property
    def parser(self) -> ChatTemplateParser:
        return ChatTemplateParser(ChatTemplate(self.template, self.bos, self.eos))


DEEPSEEK = {"bos": "<｜begin▁of▁sentence｜>", "eos": "<｜end▁of▁sentence｜>"}
FAMILIES = {
    "Gemma 2": Family(GEMMA_2, "<bos>", "<end_of_turn>", system=False),
    "Gemma 3": Family(GEMMA_3, "<bos>", "<end_of_turn>", system=False),
    "Gemma 4": Family(GEMMA_4, "<bos>", "<turn|>"),
    "Gemma 4, thinking": Family(GEMMA_4, "<bos>", "<turn|>", thinking=True),
    "ChatML": Family(CHATML, eos="<|im_end|>", exact=True),
    "Qwen 2.5": Family(QWEN_2_5, eos="<|im_end|>", exact=True),
    "Qwen 3": Family(QWEN_3, eos="<|im_end|>", exact=True),
    "Qwen 3, thinking": Family(QWEN_3, eos="<|im_end|>", exact=True, thinking=True, opened="<think>\n"),
    "Llama 3": Family(LLAMA_3, "<|begin_of_text|>", "<|eot_id|>"),
    "Llama 3.1": Family(LLAMA_3_1, "<|begin_of_text|>", "<|eot_id|>"),
    "Llama 2": Family(LLAMA_2, "<s>", "</s>"),
    "Mistral 7B v0.1": Family(MISTRAL_V1, "<s>", "</s>", system=False),
    "Mistral 7B v0.3": Family(MISTRAL_V3, "<s>", "</s>", system=False),
    "Mistral Small 3": Family(MISTRAL_V7, "<s>", "</s>"),
    "DeepSeek R1": Family(DEEPSEEK_R1, **DEEPSEEK, exact=True, opened="<think>\n"),
    "DeepSeek V3.1": Family(DEEPSEEK_V3_1, **DEEPSEEK, exact=True),
}
by_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)

HISTORY: list[Message] = [("user", "Hi\n\nyou"), ("assistant", "Hello."), ("user", "1 < 2?")]


@by_family
def test_a_conversation_comes_back_from_its_template(family: Family) -> None:
    asked: list[Message] = [("system", "Be brief."), *HISTORY] if family.system else HISTORY
    for messages in (HISTORY[:1], HISTORY, asked):
        prompt = family.render(messages, add_generation_prompt=True)
        assert AUTO.parse_completion(prompt, f"Yes.{family.eos}") == (tuple(messages), f"{family.opened}Yes.")
        # Truncated by max_new_tokens, padded on both sides
        padded = AUTO.parse_completion(f"<pad><pad>{prompt}", "<pad>Yes, 1 is<pad><pad>")
        assert padded == (tuple(messages), f"{family.opened}Yes, 1 is")


@by_family
def test_the_reply_continues_the_prompt_as_the_template_does(family: Family) -> None:
    """The completion is the rest of the rendered conversation, including its spaces."""
    whole = family.render([*HISTORY, ("assistant", "Yes.")], add_generation_prompt=False)
    prompt, reply, end = whole.rpartition("Yes.")
    space = " " * prompt.endswith(" ")  # which the tokens of the reply begin with
    assert AUTO.parse_completion(prompt.removesuffix(space), space + reply + end) == (tuple(HISTORY), "Yes.")


@by_family
def test_a_whole_conversation_comes_back(family: Family) -> None:
    for messages in (HISTORY[:1], HISTORY):
        whole = family.render([*messages, ("assistant", "Yes.")], add_generation_prompt=False)
        for text in (whole, f"<pad><pad>{family.bos}{whole}<pad>"):
            assert AUTO.parse_chat(text) == (tuple(messages), "Yes.")
        # A completion of a prompt that ends with the opening of a reply
        prompt = family.render(messages, add_generation_prompt=True)
        assert AUTO.parse_chat(f"{prompt}Yes.{family.eos}") == (tuple(messages), f"{family.opened}Yes.")
        assert AUTO.parse_chat(whole.rpartition("Yes.")[0] + "Yes, and") == (tuple(messages), "Yes, and")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<bos>",
        "User: q\nAssistant: a",
        "<bos>Prompt: p \n\nResponse: r",
        "<bos><start_of_turn>user\nnobody replied<end_of_turn>\n",
        "<|im_start|>assistant\nnobody asked<|im_end|>\n",
        "Why <|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n",
    ],
)
def test_a_text_without_a_final_reply_is_not_a_conversation(text: str) -> None:
    assert AUTO.parse_chat(text) is None


SPECIAL = (
    "<bos>", "<s>", "</s>", "<pad>", "<unk>", "[PAD]", "<eos>", "[INST]", "[/INST]", "<</SYS>>", "<<SYS>>",
    "_of_turn>", "<|", "|>", "SYSTEM_PROMPT]", "｜", "think>",
)  # fmt: skip
TEXTS = st.text(st.one_of(st.sampled_from("<>[]|/ \n\tSINTsy"), st.characters(exclude_categories=["Cs"])), max_size=12)


@by_family
@settings(max_examples=20, deadline=None)
@given(texts=st.lists(TEXTS, min_size=2, max_size=5), has_system=st.booleans())
@example(texts=["", "", "", ""], has_system=True)
@example(texts=["\n x", "[/INST", "<", "<end_of_turn", "[INST"], has_system=False)
def test_any_texts_come_back(family: Family, texts: list[str], has_system: bool) -> None:
    assume(not any(special in text for text in texts for special in SPECIAL))
    if not family.exact:
        texts = [text.strip() for text in texts]
    *said, reply = texts
    system = [("system", said.pop(0))] if family.system and has_system and len(said) > 1 else []
    turns = said if len(said) % 2 else said[1:] or said
    messages = [*system, *zip(("user", "assistant") * 2, turns, strict=False)]
    prompt = family.render(messages, add_generation_prompt=True)
    expected = tuple(message for message in messages if message != ("system", ""))
    for parser in (AUTO, family.parser):
        parsed = parser.parse_completion(prompt, f"{reply}{family.eos}")
        if family.template is LLAMA_2 and system and not turns[0]:
            assert parsed is None  # the template strips the white space that would separate the messages
        else:
            assert parsed == (expected, f"{family.opened}{reply}")


@pytest.mark.parametrize(
    ("prompt", "completion", "reply"),
    [
        # Text after the policy's turn is not part of the reply
        (
            "<bos><start_of_turn>user\nq<end_of_turn>\n<start_of_turn>model\n",
            "a<end_of_turn>\n<start_of_turn>user\nb",
            "a",
        ),
        ("<bos><start_of_turn>user\nq<end_of_turn>\n<start_of_turn>model\n", "<end_of_turn>\nb", ""),
        ("<bos><bos><start_of_turn>user\nq<end_of_turn>\n<start_of_turn>model\n", "a<eos>b<end_of_turn>", "a"),
        ("<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n", "<|endoftext|>a\n<|endoftext|><|im_end|>", "a\n"),
        ("<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n", "</s> is HTML<|im_end|>", "</s> is HTML"),
        # The beginning of a reply in the prompt is part of it
        ("<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nSure, ", "a<|im_end|>", "Sure, a"),
        ("[INST] q [/INST] Sure,", " a </s>", "Sure, a"),
        # The first space belongs to the template, the second to the reply
        ("<s>[INST] q [/INST]", "  a  </s>", " a "),
        ("<s> [INST] q [/INST]", "a", "a"),
    ],
)
def test_where_a_reply_begins_and_ends(prompt: str, completion: str, reply: str) -> None:
    assert AUTO.parse_completion(prompt, completion) == ((("user", "q"),), reply)


UNKNOWN = [
    "User: q\nAssistant:",
    "<bos><bos> q",
    "<pad><s>q",
    "Why does <|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n",
    "Explain [INST] and [/INST]",
    "Explain <｜User｜> and <｜Assistant｜>",
    "<start_of_turn>user\nnobody is asked to reply<end_of_turn>\n",
    "[/INST] is what?",
    "",
    "<s>Human: q\n\nAssistant: ",
    "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>q<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    "<|user|>\nq<|stop|>\n<|assistant|>\n",  # close to Phi-3, Zephyr and OLMo 2, with another end token
    "<|im_start|>user\nq<|im_end|>\n<|im_start|>tool\n42<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>user\nq<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n",
    "<bos><start_of_turn>tool\nq<end_of_turn>\n<start_of_turn>model\n",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|><|start_header_id|>ipython<|end_header_id|>"
    "\n\n42<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "<|start|>system<|message|>You are somebody else.<|end|><|start|>user<|message|>q<|end|><|start|>assistant",
]


@pytest.mark.parametrize("prompt", UNKNOWN)
def test_a_text_that_no_template_renders_is_not_understood(prompt: str) -> None:
    assert AUTO.parse_completion(prompt, "a<|im_end|>\n") is None
    assert AUTO.parse_chat(f"{prompt}a") is None or (prompt == UNKNOWN[15] and AUTO.parse_chat(prompt) is not None)


@pytest.mark.parametrize(
    ("prompt", "user"), [("User: q\nAssistant:", "User: q\nAssistant:"), ("<bos><bos> q", " q"), ("<pad><s>q", "q")]
)
def test_without_a_template_all_text_is_the_users(prompt: str, user: str) -> None:
    expected = (("user", user),)
    assert PLAIN.parse_completion(prompt, " a</s> b<|im_end|>\n") == (expected, " a</s> b")
    assert PLAIN.parse_completion(prompt, "a<eos><pad><pad>") == (expected, "a")
    assert PLAIN.parse_completion(prompt, "a\n") == (expected, "a\n")
    assert PLAIN.parse_chat(prompt) is None


def test_runs_of_tokens_take_linear_time() -> None:
    """Quadratic time would be a quarter of an hour."""
    run = "</s>" * 100_000
    assert PLAIN.parse_completion("q", f"a{run}b")[1] == f"a{run}b"
    assert PLAIN.parse_completion("q", f"a{run} \n")[1] == "a"
    opened = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
    pads = "<pad>" * 100_000
    assert AUTO.parse_chat(f"{opened}a{pads}b{pads}") == ((("user", "q"),), f"a{pads}b")
    for marker in ("<|im_end|>\n<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n", " ", "<think>", opened):
        assert AUTO.parse_completion(opened.replace("q", marker * 20_000), "a") is None or marker in " <think>"
    assert AUTO.parse_completion(opened * 1001, "a") is None  # too many turns


def test_markers_that_a_user_wrote_out_of_order_are_text() -> None:
    asked = "What do <start_of_turn>model\n and <end_of_turn> and <|im_end|> mean?"
    prompt = f"<bos><start_of_turn>user\n{asked}<end_of_turn>\n<start_of_turn>model\n"
    assert AUTO.parse_completion(prompt, "No idea.") == ((("user", asked),), "No idea.")
