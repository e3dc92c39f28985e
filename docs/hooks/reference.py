"""Reference pages from what the program says of itself: its help, its schemas, its registry.

A page holds ``<!-- generated: NAME -->``, and the function of that name writes what stands there on the site.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator
from typing import Any

from mkdocs.exceptions import PluginError

BAR = "\\|"
MARKER = re.compile(r"<!-- generated: (\w+) -->")
COMMAND = re.compile(r"^ {2,4}([a-z][a-z-]+)(?: {2,}\S.*)?$", re.MULTILINE)


def told(*arguments: str) -> str | None:
    """What a command prints, or ``None`` if it ends with an error."""
    from optibench.cli.main import main

    out = io.StringIO()
    os.environ.update(COLUMNS="92", NO_COLOR="1", TERM="dumb")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            status = main([*arguments])
        except SystemExit as stop:
            status = stop.code
    return None if status else out.getvalue()


def commands(*above: str, parent: str = "") -> Iterator[tuple[str, str]]:
    """Every command with its help, subcommands after the one they belong to."""
    text = told(*above, "--help")
    if text is None or text == parent:  # not a command, or an argument of the one above
        return
    yield " ".join(above), text
    for name in dict.fromkeys(COMMAND.findall(text)):
        yield from commands(*above, name, parent=text)


def cli() -> str:
    """The help of every command."""
    found = [part for part in commands() if part[0]]
    if len(found) < 10:
        raise PluginError("the commands of optibench cannot be found in `optibench --help`")
    return "\n\n".join(f"## optibench {name}\n\n```text\n{text.strip()}\n```" for name, text in found)


def kind(schema: dict[str, Any]) -> str:
    """What a value may be, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    match schema.get("type"):
        case "array":
            return f"list of {kind(schema.get('items', {}))}"
        case "object":
            values = schema.get("additionalProperties")
            return f"mapping to {kind(values)}" if isinstance(values, dict) else "mapping"
        case "integer" | "number" as name:
            word = "whole number" if name == "integer" else "number"
            low = schema.get("minimum", schema.get("exclusiveMinimum"))
            above = "from" if "minimum" in schema else "above"
            return word if low is None else f"{word} {above} {low}"
        case "boolean":
            return "`true`, `false`"
        case "null":
            return "nothing"
        case "string":
            return "text"
    return "any value"


def yaml() -> str:
    """The keys of the YAML files that users write."""
    parts = []
    for name in ("grid", "paper"):
        for title, mapping in json.loads(told("schema", name) or told("schema") or "{}")["$defs"].items():
            rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
            for key, schema in mapping["properties"].items():
                needed = key in mapping.get("required", ())
                default = "needed" if needed else f"`{json.dumps(schema['default'])}`" if "default" in schema else ""
                meaning = re.sub(r"docs/(\S+?([\w-]+)\.md)", r"[\2](../\1)", schema.get("description", ""))
                if default:
                    meaning = re.sub(r"; default \S+$", "", meaning)
                rows.append(f"| `{key}` | {kind(schema)} | {default} | {meaning.replace('|', BAR)} |")
            parts.append(f"## {title}\n\n" + "\n".join(rows))
    return "\n\n".join(parts)


def optimizers() -> str:
    """The registered optimizers with what they can do."""
    head = (
        "name",
        "what it is",
        "conditional parameters",
        "failed trials",
        "batches",
        "fidelities",
        "objectives",
        "constraints",
    )
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, entry in json.loads(told("list", "optimizers", "--json") or "{}").items():
        flags = ("yes" if entry[key] else "" for key in ("batch", "multi_fidelity", "objectives", "constraints"))
        cells = (entry["summary"], entry["conditional"], entry["failed"], *flags)
        rows.append(f"| `{name}` | " + " | ".join(str(cell).replace("|", BAR) for cell in cells) + " |")
    return "\n".join(rows)


PARTS = {"cli": cli, "yaml": yaml, "optimizers": optimizers}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Write the generated parts."""
    return MARKER.sub(lambda marker: PARTS[marker[1]](), markdown)
