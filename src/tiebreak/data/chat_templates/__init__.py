"""Recover conversations from text that a policy's chat template rendered, by inverting the template.

A reward function that gets rendered strings (OpenRLHF's `queries` and `prompts`) would otherwise score the markers of
the template together with the conversation. `probing` renders known messages to find the constant text of a template,
`parsing` separates the messages of a text with it and verifies that they render to the same text, `known` has the
templates of common families, and `detection` tries several of them. `exact` is for judges that read a chat template.
"""

from tiebreak.data.chat_templates.detection import PLAIN, RenderedTextParser, TemplateDetector, known_parser
from tiebreak.data.chat_templates.exact import ExactChatParser
from tiebreak.data.chat_templates.known import KNOWN_TEMPLATES
from tiebreak.data.chat_templates.parsing import ChatTemplateParser, Parsed
from tiebreak.data.chat_templates.rendering import ChatTemplate, ChatTemplateError

__all__ = [
    "KNOWN_TEMPLATES",
    "PLAIN",
    "ChatTemplate",
    "ChatTemplateError",
    "ChatTemplateParser",
    "ExactChatParser",
    "Parsed",
    "RenderedTextParser",
    "TemplateDetector",
    "known_parser",
]
