"""Reference pages, written from the code when the documentation is built.

Commands come from the Typer app, recipe keys from the schema, the HTTP API from the server's OpenAPI document, the
Python API from `tiebreak.__all__`, and the tree of modules from their docstrings.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast, get_args, get_origin

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tiebreak"

_TYPES = {"string": "text", "boolean": "true/false", "null": "none"}
"""JSON types whose names in the reference differ."""


def write_pages(folder: Path) -> None:
    """Write every generated page into the folder; a page that has not changed is left alone."""
    folder.mkdir(exist_ok=True)
    pages = {
        "commands": commands(),
        "recipe": recipe_keys(),
        "http": http_api(),
        "python": python_api(),
        "modules": modules(),
        "measurements": repository_page("perf/RESULTS.md"),
        "experiments": repository_page("experiments/human_votes/LOG.md"),
        "perf-log": repository_page("perf/LOG.md"),
        "changelog": repository_page("CHANGELOG.md"),
        "contributing": repository_page("CONTRIBUTING.md"),
    }
    files = {f"{name}.md": text for name, text in pages.items()} | {"layers.txt": layers()}
    for name, text in files.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def commands() -> str:
    """Every command with its help text, arguments and options."""
    from typer.main import get_command

    from tiebreak.cli import app

    group = cast(Any, get_command(app))
    parts = ["# Commands", "`tiebreak COMMAND --help` prints the same text. Options of one command are listed with it."]
    for name, command in group.commands.items():
        rows = [_parameter(parameter) for parameter in command.params]
        parts += [f"## tiebreak {name}", *_help_text(command.help or "")]
        parts += [_table(("Parameter", "Default", "Description"), rows)]
    return _page(parts)


def _parameter(parameter: Any) -> tuple[str, str, str]:
    names = [*parameter.opts, *parameter.secondary_opts]
    is_option = parameter.param_type_name == "option"
    name = ", ".join(f"`{name}`" for name in names) if is_option else f"`{parameter.metavar or parameter.name.upper()}`"
    annotation = parameter.type_descriptor.annotation
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    described = getattr(parameter, "help", None) or ""
    if choices:
        described += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
    default = parameter.default
    if parameter.required:
        shown = "required"
    elif default is None or default is False or callable(default):
        shown = ""
    else:
        shown = f"`{default}`"
    return name, shown, described


def _help_text(text: str) -> Iterator[str]:
    """A command's help as Markdown: Rich's bold headings, and indented lines as code."""
    text = re.sub(r"\[bold\](.*?)\[/(?:bold)?\]", r"**\1**", text.replace("\b", "").replace("\f", ""))
    paragraphs = re.split(r"\n\s*\n", text.strip())
    for paragraph in paragraphs:
        stripped = paragraph.strip()
        if stripped.startswith(("tiebreak ", "TIEBREAK_")):
            yield f"```\n{stripped}\n```"
        else:
            yield "\n".join(line.strip() for line in stripped.splitlines())


def recipe_keys() -> str:
    """Every key of a recipe with its type, default and description, one table for each section."""
    from tiebreak.recipe import Recipe
    from tiebreak.recipe import recipe_keys as keys

    document = Recipe.model_json_schema()
    sections: dict[str, list[tuple[str, ...]]] = {}
    for key, (default, description) in keys().items():
        section, _, name = key.rpartition(".")
        fields = document if not section else document["$defs"][f"{section.title()}Section"]
        shown = "required" if name in fields.get("required", ()) else f"`{json.dumps(default, default=str)}`"
        row = (f"`{key}`", _type(fields["properties"][name]), shown, description)
        sections.setdefault(section or "top level", []).append(row)
    parts = [
        "# Recipe keys",
        "A recipe is a YAML file. Override any key on the command line with `key=value`. "
        "`tiebreak train --keys` prints this list.",
    ]
    for section, rows in sections.items():
        parts += [f"## {section}", _table(("Key", "Type", "Default", "Description"), rows)]
    return _page(parts)


def http_api() -> str:
    """Every path of the server, from its OpenAPI document."""
    document = openapi_document()
    parts = [
        "# HTTP API",
        "A running server returns this document in full at `/openapi.json`. [Serving](../how-to/serving.md) explains "
        "limits, keys and deployment.",
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts += [f"## {method.upper()} {path}"]
            parts += [text for text in (operation.get("summary"), operation.get("description")) if text]
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            if content:
                parts += [f"Request: {_type(content.get('schema', {}))}"]
            rows = [
                (f"`{status}`", response.get("description", ""), _type(_json_schema(response)))
                for status, response in operation.get("responses", {}).items()
            ]
            parts += [_table(("Status", "Meaning", "Body"), rows)]
    parts += ["## Schemas"]
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        parts += [f"### {name}", schema.get("description", "")]
        required = schema.get("required", [])
        fields = [
            (f"`{field}`", _type(value), _default(value, field in required), value.get("description", ""))
            for field, value in schema.get("properties", {}).items()
        ]
        if fields:
            parts += [_table(("Field", "Type", "Default", "Description"), fields)]
    return _page(parts)


def openapi_document() -> dict[str, Any]:
    """The server's OpenAPI document. It is the same for every run, so a small baseline of the tests is served."""
    import asyncio

    from tiebreak import load_judge
    from tiebreak.serving import create_app

    body: list[bytes] = []

    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in requests:
            return message
        await asyncio.Event().wait()  # the server waits for a disconnect until it has answered
        raise AssertionError

    async def send(message: Any) -> None:
        body.append(message.get("body", b""))

    app = create_app(load_judge(ROOT / "tests/fixtures/runs_0_1/prior"), name="judge")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": "/openapi.json",
        "raw_path": b"/openapi.json", "query_string": b"", "root_path": "", "scheme": "http", "headers": [],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    asyncio.run(cast(Any, app)(scope, receive, send))
    document = json.loads(b"".join(body))
    assert isinstance(document, dict)
    assert "paths" in document, document
    return document


def _json_schema(response: dict[str, Any]) -> dict[str, Any]:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    assert isinstance(schema, dict)
    return schema


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(_type(inner) for inner in schema[key]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    bounds = [
        f"{sign} {schema[key]:g}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if key in schema
    ]
    return " ".join([_TYPES.get(schema.get("type", ""), str(schema.get("type", ""))), ", ".join(bounds)]).strip()


def _default(schema: dict[str, Any], required: bool) -> str:
    if required:
        return "required"
    return f"`{json.dumps(schema['default'])}`" if "default" in schema else ""


def python_api() -> str:
    """`tiebreak.__all__`, by autodoc."""
    import inspect

    import tiebreak

    groups = SimpleNamespace(classes=[], functions=[], errors=[], data=[])
    for name in tiebreak.__all__:
        value = getattr(tiebreak, name)
        if inspect.isclass(value):
            (groups.errors if issubclass(value, Exception) else groups.classes).append(name)
        elif inspect.isfunction(value):
            groups.functions.append(name)
        else:
            groups.data.append(name)
    parts = [
        "# Python API",
        "Everything is imported from `tiebreak`. Importing the package loads neither torch nor HTTP.",
    ]
    for title, names, directive in (
        ("Functions", groups.functions, "autofunction"),
        ("Classes", groups.classes, "autoclass"),
        ("Constants and types", groups.data, "autodata"),
        ("Errors", groups.errors, "autoexception"),
    ):
        parts += [f"## {title}"]
        members = "   :inherited-members: Exception, tuple, Protocol, Generic, BaseModel\n"
        for name in names:
            options = members if directive == "autoclass" and name not in ("Recipe", "Verdict") else ""
            options += "   :exclude-members: model_config\n" if name == "Recipe" else ""
            parts += [f"```{{eval-rst}}\n.. {directive}:: tiebreak.{name}\n{options}```"]
    return _page(parts)


def modules() -> str:
    """The tree of modules: whole paths, each with the first line of its docstring."""
    parts = [
        "# Modules",
        "Every file of `src/tiebreak`, described by the first line of its docstring. "
        "[Architecture](../architecture.md) explains how they work together.",
    ]
    folders: dict[str, list[tuple[str, str]]] = {}
    for path, line in module_summaries():
        folders.setdefault(str(Path(path).parent), []).append((f"`{path}`", line.rstrip(":")))
    for folder, rows in folders.items():
        parts += [f"## {folder}", _table(("File", "Contents"), rows)]
    return _page(parts)


def layers() -> str:
    """The layers of import-linter's contract in `pyproject.toml`, the top one first, with what each package is for."""
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [contract] = [c for c in configuration["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    summaries = dict(module_summaries())
    rows = []
    for number, layer in enumerate(contract["layers"], start=1):
        for name in layer.split(" | "):
            path = next(p for p in (f"tiebreak/{name}/__init__.py", f"tiebreak/{name}.py") if p in summaries)
            rows.append((str(number), f"`{name}`", summaries[path].rstrip(":")))
    return _table(("Layer", "Package", "Contents"), rows) + "\n"


def module_summaries() -> Iterator[tuple[str, str]]:
    """Paths below `src/`, and the first sentence or line of each module's docstring ("" if it has none)."""
    for path in sorted(SOURCE.rglob("*.py"), key=lambda path: (str(path.parent), path.name)):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        first = docstring.split("\n\n")[0].replace("\n", " ").strip()
        yield path.relative_to(SOURCE.parent).as_posix(), first


def repository_page(name: str) -> str:
    """A Markdown file of the repository as a page; its links to files outside the documentation become plain text."""
    text = (ROOT / name).read_text(encoding="utf-8")

    def link(match: re.Match[str]) -> str:
        target = match[2]
        if target.startswith(("http:", "https:", "#")):
            return match[0]
        path = (ROOT / name).parent / target.partition("#")[0]
        assert path.exists(), f"{name} links to {target}, which does not exist"
        return f"{match[1]} (`{path.resolve().relative_to(ROOT).as_posix()}`)"

    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)]+)\)", link, text)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(header), ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    text = re.sub(r"\[bold\](.*?)\[/(?:bold)?\]", r"**\1**", text)
    return " ".join(text.split()).replace("|", "\\|")


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
