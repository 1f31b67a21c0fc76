"""Python code that uses an export, for its model card. The tests run it."""

from __future__ import annotations

from typing import Final

from tiebreak.models import LABELS, HeadKind

_PIPELINE: Final = """\
from transformers import AutoTokenizer, pipeline

folder = "."  # this folder, or its name on the hub
tokenizer = AutoTokenizer.from_pretrained(folder)
judge = pipeline("text-classification", model=folder, tokenizer=tokenizer, dtype="float32")
"""
_MERGED: Final = """\
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

folder = "."  # this folder, or its name on the hub
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32").eval()
"""
_ADAPTER: Final = """\
import torch
from peft import PeftConfig, PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

folder = "."  # this folder, or its name on the hub
base = PeftConfig.from_pretrained(folder).base_model_name_or_path  # or wherever the base model is
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=N_LABELS, dtype="float32")
model.config.pad_token_id = tokenizer.pad_token_id
model = PeftModel.from_pretrained(model, folder).eval()
"""

_CHATS: Final[dict[HeadKind, str]] = {
    "pairwise": """
chat = [
    {"role": "user", "content": "What is 2 + 2?"},
    {"role": "response_a", "content": "It is 4."},
    {"role": "response_b", "content": "It is 5."},
]
""",
    "pointwise": """
question = {"role": "user", "content": "What is 2 + 2?"}
answers = ["It is 4.", "It is 5."]
chats = [[question, {"role": "assistant", "content": answer}] for answer in answers]
""",
}
_PIPE_CHATS: Final[dict[HeadKind, str]] = {
    "pairwise": """\
text = tokenizer.apply_chat_template(chat, tokenize=False)
results = judge(text, add_special_tokens=False, top_k=None)
probabilities = {result["label"]: result["score"] for result in results}  # of model_a, model_b and tie
""",
    "pointwise": """\
texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
rewards = [result["score"] for result in judge(texts, add_special_tokens=False)]
""",
}
_RUN_CHATS: Final[dict[HeadKind, str]] = {
    "pairwise": """\
inputs = tokenizer.apply_chat_template(chat, return_dict=True, return_tensors="pt")
with torch.no_grad():
    probabilities = model(**inputs).logits[0].softmax(-1).tolist()  # of model_a, model_b and tie
""",
    "pointwise": """\
inputs = tokenizer.apply_chat_template(chats, return_dict=True, return_tensors="pt", padding=True)
with torch.no_grad():
    rewards = model(**inputs).logits[:, 0].tolist()
""",
}
_PLAIN: Final = """\

template = json.loads(Path(folder, "tiebreak.json").read_text())["template"]
texts = TEXTS
text = re.sub(r"\\{(SLOTS)\\}", lambda slot: texts[slot[1]], template)
with torch.no_grad():
    logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
"""
_TEXTS: Final[dict[HeadKind, dict[str, str]]] = {
    "pairwise": {"prompt": "What is 2 + 2?", "response_a": "It is 4.", "response_b": "It is 5."},
    "pointwise": {"prompt": "What is 2 + 2?", "response": "It is 4."},
}
_RESULTS: Final[dict[HeadKind, str]] = {
    "pairwise": "probabilities = logits.softmax(-1).tolist()  # of model_a, model_b and tie\n",
    "pointwise": "reward = logits.item()\n",
}


def chat_snippet(head: HeadKind, *, adapter_only: bool) -> str:
    """From messages to outputs, with the tokenizer's chat template."""
    if adapter_only:
        return _adapter(head) + _CHATS[head] + _RUN_CHATS[head]
    return _PIPELINE + _CHATS[head] + _PIPE_CHATS[head]


def plain_snippet(head: HeadKind, *, adapter_only: bool) -> str:
    """From texts to outputs, with the template. Slots are filled in one pass: a text may contain a slot's name."""
    texts = str(_TEXTS[head]).replace("'", '"')
    return (
        "import json, re\nfrom pathlib import Path\n\n"
        + (_adapter(head) if adapter_only else _MERGED)
        + _PLAIN.replace("TEXTS", texts).replace("SLOTS", "|".join(_TEXTS[head]))
        + _RESULTS[head]
    )


def _adapter(head: HeadKind) -> str:
    return _ADAPTER.replace("N_LABELS", str(len(LABELS[head])))
