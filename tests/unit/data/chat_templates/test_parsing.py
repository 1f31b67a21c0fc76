"""Chat templates are inverted: messages come back from what a template renders, and nothing else is understood."""

from __future__ import annotations

from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiebreak.data.chat_templates import (
    KNOWN_TEMPLATES,
    ChatTemplate,
    ChatTemplateError,
    ChatTemplateParser,
    TemplateDetector,
    known_parser,
)
from tiebreak.data.chat_templates.rendering import ChatRenderer
from tiebreak.data.messages import Message

AUTO = TemplateDetector([known_parser(name) for name in KNOWN_TEMPLATES])

# What the templates of published models render for a user's message, and what such a model writes after it
HUB = {
    "Phi-3": ("phi3", "<|user|>\n1 + 1 = ?<|end|>\n<|assistant|>\n", "2<|end|><|endoftext|>"),
    "Phi-4": ("phi4", "<|im_start|>user<|im_sep|>1 + 1 = ?<|im_end|><|im_start|>assistant<|im_sep|>", "2<|im_end|>"),
    "Phi-4-mini": ("phi4-mini", "<|user|>1 + 1 = ?<|end|><|assistant|>", "2<|end|>"),
    "OLMo 2": ("olmo2", "<|endoftext|><|user|>\n1 + 1 = ?\n<|assistant|>\n", "2<|endoftext|>"),
    "Tulu 3": ("tulu3", "<|user|>\n1 + 1 = ?\n<|assistant|>\n", "2<|end_of_text|>"),
    "Llama 4": (
        "llama4",
        "<|begin_of_text|><|header_start|>user<|header_end|>\n\n1 + 1 = ?<|eot|><|header_start|>assistant<|header_end|>"
        "\n\n",
        "2<|eot|><|finetune_right_pad|>",
    ),
    "gpt-oss": (
        "gpt-oss",
        "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: "
        "2024-06\nCurrent date: 2025-08-05\n\nReasoning: high\n\n# Valid channels: analysis, commentary, final. "
        "Channel must be included for every message.<|end|><|start|>user<|message|>1 + 1 = ?<|end|><|start|>assistant",
        "<|channel|>analysis<|message|>Is it 3? No.<|end|><|start|>assistant<|channel|>final<|message|>2<|return|>",
    ),
    "Zephyr": ("zephyr", "<|user|>\n1 + 1 = ?</s>\n<|assistant|>\n", "2</s>"),
    "Granite 3.3": (
        "granite",
        "<|start_of_role|>system<|end_of_role|>Knowledge Cutoff Date: April 2024.\nToday's Date: April 02, 2025.\nYou "
        "are Granite, developed by IBM. You are a helpful AI assistant.<|end_of_text|>\n<|start_of_role|>user"
        "<|end_of_role|>1 + 1 = ?<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>",
        "2<|end_of_text|>",
    ),
    "GLM-4": ("glm4", "[gMASK]<sop><|user|>\n1 + 1 = ?<|assistant|>\n", "2<|user|>"),
    "SmolLM2": (
        "smollm2",
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\n1 + 1 = ?<|im_end|>\n<|im_start|>assistant\n",
        "2<|im_end|>",
    ),
    "Qwen2.5-Math": (
        "qwen2.5-math",
        "<|im_start|>system\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
        "<|im_start|>user\n1 + 1 = ?<|im_end|>\n<|im_start|>assistant\n",
        "2<|im_end|>\n<|endoftext|>",
    ),
    "Qwen3, not thinking": (
        "qwen3",
        "<|im_start|>user\n1 + 1 = ?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        "2<|im_end|>",
    ),
    "Gemma 2": ("gemma", "<bos><start_of_turn>user\n1 + 1 = ?<end_of_turn>\n<start_of_turn>model\n", "2<end_of_turn>"),
    "Gemma 4": (
        "gemma4",
        "<bos><|turn>user\n1 + 1 = ?<turn|>\n<|turn>model\n<|channel>thought\n<channel|>",
        "2<turn|>",
    ),
    "Llama 3.2": (
        "llama3.1",
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday "
        "Date: 03 Oct 2025\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n1 + 1 = ?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "2<|eot_id|>",
    ),
    "Llama 2": ("llama2", "<s>[INST] 1 + 1 = ? [/INST]", " 2 </s>"),
    "Mistral Small 3": ("mistral-tekken", "<s>[INST]1 + 1 = ?[/INST]", "2</s>"),
    "DeepSeek-V3.1": (
        "deepseek-v3.1",
        "<｜begin▁of▁sentence｜><｜User｜>1 + 1 = ?<｜Assistant｜></think>",
        "2<｜end▁of▁sentence｜>",
    ),
}


@pytest.mark.parametrize("model", HUB)
def test_what_published_templates_render(model: str) -> None:
    name, prompt, completion = HUB[model]
    expected = ((("user", "1 + 1 = ?"),), "2")
    for parser in (known_parser(name), AUTO):
        assert parser.parse_completion(prompt, completion) == expected
        assert parser.parse_completion(f"<pad>{prompt}", completion) == expected
        assert parser.parse_chat(prompt + completion) == expected
    other = known_parser("zephyr" if name != "zephyr" else "phi3")
    assert other.parse_completion(prompt, completion) is None
    assert other.parse_chat(prompt + completion) is None


def test_a_system_message_of_the_user_stays_and_that_of_the_template_goes() -> None:
    prompt = "<|im_start|>system\n{}<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
    own = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    smollm2, chatml = known_parser("smollm2"), known_parser("chatml")
    assert smollm2.parse_completion(prompt.format(own), "a") == ((("user", "q"),), "a")
    assert chatml.parse_completion(prompt.format(own), "a") == ((("system", own), ("user", "q")), "a")
    for parser in (smollm2, chatml, AUTO):
        assert parser.parse_completion(prompt.format("Rhyme."), "a") == ((("system", "Rhyme."), ("user", "q")), "a")


def test_thoughts_in_a_message_of_their_own_are_not_the_answer() -> None:
    prompt = HUB["gpt-oss"][1]
    for reply, answer in (
        ("<|channel|>final<|message|>2<|return|>", "2"),
        ("<|channel|>analysis<|message|>It is 2<|end|>", ""),  # cut off before the answer
        ("<|channel|>analysis<|message|>It is 2", ""),
        ("2<|return|>", "2"),
    ):
        assert AUTO.parse_completion(prompt, reply) == ((("user", "1 + 1 = ?"),), answer)


TEXTS = st.text(st.sampled_from("ab \n<|>[]/'{}%\\é"), max_size=12)


@pytest.mark.parametrize("name", KNOWN_TEMPLATES)
@settings(max_examples=12, deadline=None)
@given(texts=st.lists(TEXTS, min_size=2, max_size=6), system=st.none() | TEXTS)
def test_messages_come_back_from_every_known_template(name: str, texts: list[str], system: str | None) -> None:
    texts = [text.strip() or "x" for text in texts]
    *turns, reply = texts if len(texts) % 2 == 0 else texts[1:]
    messages: list[Message] = [("user" if i % 2 == 0 else "assistant", text) for i, text in enumerate(turns)]
    if system is not None:
        messages.insert(0, ("system", system.strip() or "x"))
    renderer = ChatRenderer(KNOWN_TEMPLATES[name])

    def render(rows: list[Message], *, generation_prompt: bool) -> str:
        contents = [{"role": role, "content": content} for role, content in rows]
        return renderer.render(contents, generation_prompt=generation_prompt, options={})

    prompt = render(messages, generation_prompt=True)
    whole = render([*messages, ("assistant", reply)], generation_prompt=False)
    completion = whole.removeprefix(prompt) if whole.startswith(prompt) else reply
    opened = "<think>\n" if prompt.endswith("<think>\n") else ""
    if system is not None and not any(shape.after_system for shape in known_parser(name)._exact.probe.shapes):
        messages[:2] = [("user", f"{messages[0][1]}\n\n{messages[1][1]}")]  # where a judge puts it as well
    assert known_parser(name).parse_completion(prompt, completion) == (tuple(messages), opened + reply)
    assert known_parser(name).parse_chat(whole) == (tuple(messages), reply)


def published_templates() -> list[Path]:
    """The chat templates of other models that TRL ships, without further versions of the same model's."""
    trl = find_spec("trl")
    folder = Path(str(trl.origin)).parent / "chat_templates" if trl else Path("missing")
    versions = ("training", "v2", "v3", "v4", "vl", "super", "ultra")
    return sorted(path for path in folder.glob("*.jinja") if path.stem.rpartition("_")[2] not in versions)


@pytest.mark.parametrize("path", published_templates(), ids=lambda path: path.stem)
def test_templates_that_are_in_no_list_of_ours(path: Path) -> None:
    """Rendered by transformers, and inverted as they are."""
    from transformers.utils.chat_template_utils import render_jinja_template

    source = path.read_text(encoding="utf-8")
    parser = ChatTemplateParser(ChatTemplate(source, "<s>", "</s>"))
    parts = parser._exact.probe.as_parts
    history = [("user", "Hi\n\nyou"), ("assistant", "Hello."), ("user", "1 < 2?")]
    for options in ({}, {"enable_thinking": False}, {"enable_thinking": True}):
        for messages in (history[:1], history):
            rows = [
                {"role": role, "content": [{"type": "text", "text": text}] if parts else text}
                for role, text in messages
            ]
            [prompt], _ = render_jinja_template(
                [rows], chat_template=source, add_generation_prompt=True, bos_token="<s>", eos_token="</s>", **options
            )
            parsed = parser.parse_completion(prompt, "Yes.</s>")
            assert parsed is not None, (options, prompt)
            assert parsed[0] == tuple(messages), options
            assert parsed[1].removeprefix("<think>\n") == "Yes.", options
            assert parser.parse_completion(f"x{prompt}", "Yes.</s>") is None, options
            reply = {"role": "assistant", "content": [{"type": "text", "text": "Yes."}] if parts else "Yes."}
            [whole], _ = render_jinja_template(
                [[*rows, reply]], chat_template=source, bos_token="<s>", eos_token="</s>", **options
            )
            assert parser.parse_chat(whole) == (tuple(messages), "Yes."), options


def test_the_environment_renders_as_that_of_transformers() -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    source = (
        "{% for m in messages %}\n  {%- if loop.first %}{{ bos_token }}{% endif %}\n"
        "{% generation %}{{ m | tojson }}{% endgeneration %}\n{% if m.skip %}{% continue %}{% endif %}\n{% endfor %}\n"
        "{{ strftime_now('%Y') }}{{ missing }}{{ eos_token }}"
    )
    rows = [{"role": "user", "content": "é<b>'\n"}, {"role": "assistant", "content": "b", "skip": True}]
    [expected], _ = render_jinja_template([rows], chat_template=source, bos_token="<s>", eos_token="</s>")
    rendered = ChatRenderer(ChatTemplate(source, "<s>", "</s>")).render(rows, generation_prompt=False, options={})
    assert rendered == expected


CHATML = KNOWN_TEMPLATES["chatml"].source
PROMPT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{% for", "not valid Jinja"),
        ("{{ raise_exception('no') }}", "cannot be rendered: no"),
        ("{{ messages[-1].content }}", "several turns in order"),
        ("{% for m in messages %}{{ m.content }}\n\n{% endfor %}", "nothing but white space separates"),
        ("{% for m in messages %}{{ m.content + m.content }}<x>{% endfor %}", "repeats"),
        ("{% for m in messages %}<|{{ m.role }}|>{{ m.content | upper }}{% endfor %}", "leaves out"),
        ("hello", "leaves out"),
    ],
)
def test_templates_that_cannot_be_inverted(source: str, reason: str) -> None:
    with pytest.raises(ChatTemplateError, match=reason):
        ChatTemplateParser(ChatTemplate(source))


def test_contents_that_the_template_would_change_are_not_understood() -> None:
    parser = ChatTemplateParser(ChatTemplate(CHATML.replace("m['content']", "m['content'] | replace('z', 'y')")))
    assert parser.parse_completion(PROMPT.format("y"), "a") == ((("user", "y"),), "a")
    assert parser.parse_completion(PROMPT.format("z"), "a") is None  # this template renders no z


def test_a_template_that_drops_thoughts_of_earlier_turns() -> None:
    source = CHATML.replace("m['content']", "m['content'].split('</think>')[-1]")
    parser = ChatTemplateParser(ChatTemplate(source, eos="<|im_end|>"))
    messages = [("user", "q"), ("assistant", "a"), ("user", "r")]
    rows = [{"role": role, "content": text} for role, text in messages]
    rows[1]["content"] = "<think>Hm.</think>a"
    prompt = ChatRenderer(ChatTemplate(source)).render(rows, generation_prompt=True, options={})
    expected = (tuple(messages), "<think>Oh.</think>b")
    assert parser.parse_completion(prompt, "<think>Oh.</think>b<|im_end|>") == expected


def test_messages_of_tools_are_not_the_users() -> None:
    """As Qwen's template renders them: inside a turn of the user."""
    source = (
        "{%- for m in messages -%}{{- '<|im_start|>' ~ ('user' if m.role == 'tool' else m.role) ~ '\\n' -}}"
        "{{- '<tool_response>\\n' ~ m.content ~ '\\n</tool_response>' if m.role == 'tool' else m.content -}}"
        "{{- '<|im_end|>\\n' -}}{%- endfor -%}{{- '<|im_start|>assistant\\n' if add_generation_prompt -}}"
    )
    parser = ChatTemplateParser(ChatTemplate(source, eos="<|im_end|>"))
    for role, understood in (("tool", False), ("user", True)):
        rows = [{"role": role, "content": text} for role, text in (("user", "q"), ("assistant", "a"), (role, "42"))]
        prompt = ChatRenderer(ChatTemplate(source)).render(rows, generation_prompt=True, options={})
        assert (parser.parse_completion(prompt, "b<|im_end|>") is not None) == understood


def test_a_user_who_writes_a_whole_turn_makes_one() -> None:
    """Both conversations render to the same text; a turn out of order is refused."""
    both = "q<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n<|im_start|>user\nr"
    parser = known_parser("chatml")
    expected = ((("user", "q"), ("assistant", "a"), ("user", "r")), "b")
    assert parser.parse_completion(PROMPT.format(both), "b") == expected
    assert parser.parse_completion(PROMPT.format("q<|im_end|>\n<|im_start|>assistant\na"), "b") is None


def test_special_tokens_of_a_tokenizer_end_a_reply() -> None:
    template = ChatTemplate(CHATML, eos="<|im_end|>", special_tokens=("<|stop|>", "<|think|>", "<|mypad|>"))
    parser = ChatTemplateParser(template)
    prompt = PROMPT.format("q")
    assert parser.parse_completion(prompt, "a<|stop|>b") == ((("user", "q"),), "a")
    assert parser.parse_completion(prompt, "<|mypad|>a <|other|>b<|mypad|>") == ((("user", "q"),), "a <|other|>b")
    assert parser.parse_completion(prompt, "<|think|>a") == ((("user", "q"),), "<|think|>a")


def test_the_date_of_a_text_may_be_any_day() -> None:
    source = "{{ 'Today: ' ~ strftime_now('%d %B %Y') ~ ', ' ~ strftime_now('%A') ~ '\\n' }}" + CHATML
    parser = ChatTemplateParser(ChatTemplate(source))
    chat = PROMPT.format("q")
    day = datetime(2024, 2, 29)
    head = f"Today: {day:%d %B %Y}, {day:%A}\n"
    assert parser.parse_completion(head + chat, "a") == ((("user", "q"),), "a")
    assert parser.parse_completion(f"Today: {day:%d %B %Y}, Sunday\n" + chat, "a") is None
    assert parser.parse_completion("Today: soon, Sunday\n" + chat, "a") is None
