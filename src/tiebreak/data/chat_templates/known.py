"""Chat templates of common model families, by name. They render messages of system, user and assistant only.

Each is written for this project, and renders what the family's own template renders for such messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tiebreak.data.chat_templates.rendering import ChatTemplate

_REFUSE: Final = "{{ raise_exception('This role is not supported.') }}"


def _literal(text: str) -> str:
    """A text as a Jinja string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def _say(text: str) -> str:
    """Jinja source that writes `{content}` and, for `{bos}`, `{eos}` and `{date:FORMAT}`, the tokens and the date."""
    parts, rest = [], text
    names = {"content": "content", "bos": "bos_token", "eos": "eos_token", "role": "m['role']"}
    while rest:
        before, brace, after = rest.partition("{")
        parts += [_literal(before)] if before else []
        if not brace:
            break
        name, _, following = after.partition("}")
        if name.startswith("date:"):
            parts.append(f"strftime_now({_literal(name.removeprefix('date:'))})")
        else:
            parts.append(names.get(name, _literal("{")))
        rest = following if name.startswith("date:") or name in names else after
    return "{{- " + " ~ ".join(parts) + " -}}" if parts else ""


def _turns(
    user: str,
    assistant: str,
    generation: str,
    *,
    head: str = "{bos}",
    system: str | None = None,
    default: str | None = None,
    merge: str = "{content}\n\n",
    trim: bool = False,
    last: str | None = None,
    without_thinking: str = "",
    other: str = "",
) -> str:
    """Jinja source of a template that writes one turn after another.

    Args:
        user: the text of a user's turn.
        assistant: the text of a reply.
        generation: the opening of a reply.
        head: the beginning of all texts.
        system: the text of a system message; None puts it in front of the user's first message, as `merge`.
        default: what stands in place of a missing system message.
        merge: the system message in front of the user's.
        trim: remove white space around contents.
        last: the text of a reply at the end, if it differs from that of other replies.
        without_thinking: follows `generation` if `enable_thinking` is false.
        other: the turn of another role, with `{role}`; by default such roles are refused.
    """
    content = "m['content'] | trim" if trim else "m['content']"
    first = "messages[0]['content'] | trim" if trim else "messages[0]['content']"
    set_system = "{%- set rest = messages[1:] if messages[0]['role'] == 'system' else messages -%}"
    if system is None:
        system_source = "{%- set content = " + first + " -%}{%- set prefix -%}" + _say(merge) + "{%- endset -%}"
        user_content = "{%- set content = (prefix if loop.first and rest | length < messages | length else '') ~ ("
        user_content += content + ") -%}"
        opening = system_source
    else:
        opening = "{%- if messages[0]['role'] == 'system' -%}{%- set content = " + first + " -%}" + _say(system)
        opening += ("{%- else -%}" + _say(default) if default else "") + "{%- endif -%}"
        user_content = "{%- set content = " + content + " -%}"
    reply = _say(assistant)
    if last is not None:
        reply = "{%- if loop.last -%}" + _say(last) + "{%- else -%}" + reply + "{%- endif -%}"
    thoughts = ""
    if without_thinking:
        thoughts = "{%- if enable_thinking is defined and not enable_thinking -%}" + _say(without_thinking)
        thoughts += "{%- endif -%}"
    others = "{%- set content = " + content + " -%}" + _say(other) if other else _REFUSE
    return "".join((
        _say(head), set_system, opening, "{%- for m in rest -%}{%- if m['role'] == 'user' -%}", user_content,
        _say(user), "{%- elif m['role'] == 'assistant' -%}{%- set content = ", content, " -%}", reply,
        "{%- else -%}", others, "{%- endif -%}{%- endfor -%}",
        "{%- if add_generation_prompt -%}", _say(generation), thoughts, "{%- endif -%}",
    ))  # fmt: skip


def _tagged(
    turn: str,
    *,
    head: str = "{bos}",
    default: str | None = None,
    before_system: str = "",
    trim: bool = False,
    last: str | None = None,
    without_thinking: str = "",
) -> str:
    """Jinja source of a template that writes all turns alike, with `{role}` in `turn`.

    Args:
        turn: the text of a turn.
        head: as in `_turns`.
        default: the content of the system message if there is none.
        before_system: stands before the content of each system message.
        trim: as in `_turns`.
        last: as in `_turns`.
        without_thinking: as in `_turns`.
    """
    user, assistant, system = (turn.replace("{role}", role) for role in ("user", "assistant", "system"))
    return _turns(
        user, assistant, assistant.partition("{content}")[0], head=head, trim=trim, last=last,
        system=system.replace("{content}", before_system + "{content}"),
        default=None if default is None else system.replace("{content}", before_system + default),
        without_thinking=without_thinking, other=turn,
    )  # fmt: skip


def _chatml(default: str | None = None, *, last: str | None = None, without_thinking: str = "") -> ChatTemplate:
    turn = "<|im_start|>{role}\n{content}<|im_end|>\n"
    source = _tagged(turn, head="", default=default, last=last, without_thinking=without_thinking)
    return ChatTemplate(source, eos="<|im_end|>", special_tokens=("<|im_start|>", "<|endoftext|>"))


def _llama3(date: str = "") -> ChatTemplate:
    turn = "<|start_header_id|>{role}<|end_header_id|>\n\n{content}<|eot_id|>"
    source = _tagged(turn, before_system=date, default="" if date else None, trim=True)
    special = ("<|eom_id|>", "<|end_of_text|>", "<|start_header_id|>", "<|finetune_right_pad_id|>")
    return ChatTemplate(source, "<|begin_of_text|>", "<|eot_id|>", special)


def _mistral(opening: str, closing: str, lead: str, *, system: str | None = None) -> ChatTemplate:
    source = _turns(f"{opening}{{content}}{closing}", f"{lead}{{content}}{{eos}}", "", system=system)
    return ChatTemplate(source, "<s>", "</s>", ("[INST]",))


def _granite(default: str | None) -> ChatTemplate:
    turn = "<|start_of_role|>{role}<|end_of_role|>{content}<|end_of_text|>\n"
    source = _tagged(turn, head="", default=default)
    return ChatTemplate(source, "<|end_of_text|>", "<|end_of_text|>", ("<|start_of_role|>", "<|end_of_role|>"))


def _deepseek(opening: str, generation: str) -> ChatTemplate:
    source = _turns(
        "<｜User｜>{content}", f"<｜Assistant｜>{opening}{{content}}{{eos}}", f"<｜Assistant｜>{generation}",
        system="{content}",
    )  # fmt: skip
    return ChatTemplate(source, "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", ("<｜User｜>", "<｜Assistant｜>"))


def _gemma4(newline: str) -> ChatTemplate:
    """Gemma 4, whose versions differ in what follows the token that asks for thoughts."""
    return ChatTemplate(_GEMMA_4.replace("NEWLINE", newline), "<bos>", "<turn|>", ("<|turn>", "<eos>"))


def _role_tags(turn: str, bos: str, eos: str) -> ChatTemplate:
    """Phi-3, Zephyr and others that write the role as a token of its own."""
    return ChatTemplate(_tagged(turn, head=""), bos, eos, _ROLES)


def _tulu(bos: str, eos: str) -> ChatTemplate:
    """Tulu 3 and OLMo 2, whose user turns end without a token."""
    source = _turns(
        "<|user|>\n{content}\n", "<|assistant|>\n{content}{eos}\n", "<|assistant|>\n",
        system="<|system|>\n{content}\n", last="<|assistant|>\n{content}{eos}",
    )  # fmt: skip
    return ChatTemplate(source, bos, eos, _ROLES)


_ROLES: Final = ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>")
_GEMMA: Final = ChatTemplate(
    _turns(
        "<start_of_turn>user\n{content}<end_of_turn>\n", "<start_of_turn>model\n{content}<end_of_turn>\n",
        "<start_of_turn>model\n", trim=True,
    ),
    "<bos>", "<eos>", ("<start_of_turn>", "<end_of_turn>"),
)  # fmt: skip
_GEMMA_4: Final = (
    "{{- bos_token -}}"
    "{%- if enable_thinking or messages[0]['role'] == 'system' -%}{{- '<|turn>system\\n' -}}"
    "{{- '<|think|>NEWLINE' if enable_thinking else '' -}}"
    "{{- messages[0]['content'] | trim if messages[0]['role'] == 'system' else '' -}}{{- '<turn|>\\n' -}}{%- endif -%}"
    "{%- for m in messages if m['role'] != 'system' -%}"
    "{{- '<|turn>' ~ ('model' if m['role'] == 'assistant' else m['role']) ~ '\\n' -}}"
    "{{- m['content'] | trim ~ '<turn|>\\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|turn>model\\n' -}}"
    "{{- '' if enable_thinking else '<|channel>thought\\n<channel|>' -}}{%- endif -%}"
)
_LLAMA_2: Final = ChatTemplate(
    _turns(
        "{bos}[INST] {content} [/INST]", " {content} {eos}", "", head="",
        merge="<<SYS>>\n{content}\n<</SYS>>\n\n", trim=True,
    ),
    "<s>", "</s>",
)  # fmt: skip
_LLAMA_4: Final = ChatTemplate(
    _tagged("<|header_start|>{role}<|header_end|>\n\n{content}<|eot|>", trim=True),
    "<|begin_of_text|>", "<|eot|>", ("<|eom|>", "<|end_of_text|>", "<|header_start|>", "<|finetune_right_pad|>"),
)  # fmt: skip
_GPT_OSS: Final = ChatTemplate(
    "{%- set identity = '<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.' -%}"
    "{{- identity ~ '\\nKnowledge cutoff: 2024-06\\nCurrent date: ' ~ strftime_now('%Y-%m-%d') -}}"
    "{{- '\\n\\nReasoning: ' ~ (reasoning_effort or 'medium') ~ '\\n\\n# Valid channels: analysis, ' -}}"
    "{{- 'commentary, final. Channel must be included for every message.<|end|>' -}}"
    "{%- for m in messages -%}"
    "{%- if m['role'] in ('system', 'developer') -%}"
    "{{- '<|start|>developer<|message|># Instructions\\n\\n' ~ m['content'] ~ '\\n\\n<|end|>' -}}"
    "{%- elif m['role'] == 'user' -%}{{- '<|start|>user<|message|>' ~ m['content'] ~ '<|end|>' -}}"
    "{%- elif m['role'] == 'assistant' -%}"
    "{%- if loop.last and m['thinking'] -%}"
    "{{- '<|start|>assistant<|channel|>analysis<|message|>' ~ m['thinking'] ~ '<|end|>' -}}{%- endif -%}"
    "{{- '<|start|>assistant<|channel|>final<|message|>' ~ m['content'] -}}"
    "{{- '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' -}}"
    "{%- else -%}{{- raise_exception('unknown role') -}}{%- endif -%}{%- endfor -%}"
    "{{- '<|start|>assistant' if add_generation_prompt else '' -}}",
    eos="<|return|>", special_tokens=("<|end|>", "<|call|>", "<|start|>", "<|endoftext|>"),
)  # fmt: skip
_PHI_4: Final = ChatTemplate(
    _tagged("<|im_start|>{role}<|im_sep|>{content}<|im_end|>", head=""),
    "<|endoftext|>", "<|im_end|>", ("<|im_start|>", "<|endoftext|>"),
)  # fmt: skip
_GLM_4: Final = ChatTemplate(
    _turns(
        "<|user|>\n{content}", "<|assistant|>\n{content}", "<|assistant|>\n", head="[gMASK]<sop>",
        system="<|system|>\n{content}",
    ),
    eos="<|endoftext|>", special_tokens=("<|user|>", "<|observation|>", "<|system|>", "<|assistant|>"),
)  # fmt: skip
_GLM_4_5: Final = ChatTemplate(
    "{{- '[gMASK]<sop>' -}}{%- for m in messages -%}"
    "{%- if m['role'] == 'system' -%}{{- '<|system|>\\n' ~ m['content'] -}}"
    "{%- elif m['role'] == 'user' -%}{{- '<|user|>\\n' ~ m['content'] -}}"
    "{{- '/nothink' if enable_thinking is defined and not enable_thinking else '' -}}"
    "{%- else -%}{{- '<|assistant|>\\n<think></think>\\n' ~ m['content'] | trim -}}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}"
    "{{- '\\n<think></think>' if enable_thinking is defined and not enable_thinking else '' -}}{%- endif -%}",
    eos="<|endoftext|>", special_tokens=_GLM_4.special_tokens,
)  # fmt: skip

_NO_THOUGHTS: Final = "<think>\n\n</think>\n\n"
_GRANITE: Final = (
    "Knowledge Cutoff Date: April 2024.\nToday's Date: {date:%B %d, %Y}.\nYou are Granite, developed by IBM. You are a "
    "helpful AI assistant."
)

KNOWN_TEMPLATES: Final[Mapping[str, ChatTemplate]] = {
    "chatml": _chatml(),
    "qwen2": _chatml("You are a helpful assistant."),
    "qwen1.5": _chatml("You are a helpful assistant"),
    "qwen2.5": _chatml("You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
    "qwen2.5-math": _chatml("Please reason step by step, and put your final answer within \\boxed{}."),
    "qwen3": _chatml(
        last="<|im_start|>assistant\n" + _NO_THOUGHTS + "{content}<|im_end|>\n", without_thinking=_NO_THOUGHTS
    ),
    "smollm2": _chatml("You are a helpful AI assistant named SmolLM, trained by Hugging Face"),
    "gemma": _GEMMA,
    "gemma4": _gemma4("\\n"),
    "gemma4-v2": _gemma4(""),
    "llama2": _LLAMA_2,
    "llama3": _llama3(),
    "llama3.1": _llama3("Cutting Knowledge Date: December 2023\nToday Date: {date:%d %b %Y}\n\n"),
    "llama4": _LLAMA_4,
    "mistral-v1": _mistral("[INST] ", " [/INST]", ""),
    "mistral-v2": _mistral(" [INST] ", " [/INST]", " "),
    "mistral-v3": _mistral("[INST] ", "[/INST]", " "),
    "mistral-v7": _mistral("[INST] ", "[/INST]", " ", system="[SYSTEM_PROMPT] {content}[/SYSTEM_PROMPT]"),
    "mistral-tekken": _mistral("[INST]", "[/INST]", "", system="[SYSTEM_PROMPT]{content}[/SYSTEM_PROMPT]"),
    "deepseek-r1": _deepseek("", "<think>\n"),
    "deepseek-v3": _deepseek("", ""),
    "deepseek-v3.1": _deepseek("</think>", "</think>"),
    "phi3": _role_tags("<|{role}|>\n{content}<|end|>\n", "<s>", "<|endoftext|>"),
    "phi4": _PHI_4,
    "phi4-mini": _role_tags("<|{role}|>{content}<|end|>", "", "<|endoftext|>"),
    "olmo2": _tulu("<|endoftext|>", "<|endoftext|>"),
    "tulu3": _tulu("", "<|end_of_text|>"),
    "zephyr": _role_tags("<|{role}|>\n{content}{eos}\n", "<s>", "</s>"),
    "granite": _granite(_GRANITE),
    "granite3.0": _granite(None),
    "granite4": _granite("You are a helpful assistant. Please ensure responses are professional, accurate, and safe."),
    "glm4": _GLM_4,
    "glm4.5": _GLM_4_5,
    "gpt-oss": _GPT_OSS,
}
"""Templates by name. Those of one family are beside each other where they differ in a default system message only."""
