"""Notebooks as pages: run from top to bottom when the site is built, a cell that raises fails the build.

A page holds ``<!-- notebook: PATH -->``, and the notebook stands there on the site, with its outputs; it is committed
without them.
"""

from __future__ import annotations

import functools
import html
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.exceptions import PluginError
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]
MARKER = re.compile(r"<!-- notebook: (\S+) -->")
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def run(path: Path, folder: str) -> nbformat.NotebookNode:
    """Run a notebook in ``folder``, which takes the files that it writes.

    Raises:
        PluginError: A cell raised.
    """
    notebook = nbformat.read(path, as_version=4)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": folder}}).execute()
    except CellExecutionError as error:
        raise PluginError(f"{path}: {ESCAPES.sub('', str(error))}") from error
    return notebook


def shown(output: nbformat.NotebookNode) -> str:
    """One output as Markdown."""
    if output.output_type == "stream":
        return "" if output.name == "stderr" else f"```text\n{ESCAPES.sub('', output.text).rstrip()}\n```"
    data = output.data
    if "text/html" in data:
        lines = (line for line in data["text/html"].splitlines() if line.strip())  # a blank line would end the block
        return '<div class="output">\n' + "\n".join(lines) + "\n</div>"
    if "image/svg+xml" in data:
        return '<div class="output">\n' + data["image/svg+xml"] + "\n</div>"
    if "image/png" in data:
        return f'<img alt="" src="data:image/png;base64,{data["image/png"].strip()}">'
    return f"```text\n{html.unescape(data.get('text/plain', ''))}\n```"


@functools.cache
def page(path: Path) -> str:
    """A notebook with its outputs as Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        notebook = run(path, folder)
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(re.sub(r"^# .*\n+", "", cell.source))  # the page has the title
        else:
            parts.append(f"```python\n{cell.source}\n```")
        parts += [shown(output) for output in cell.get("outputs", ())]
    return "\n\n".join(part for part in parts if part)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Write the notebooks into their pages."""
    return MARKER.sub(lambda marker: page(ROOT / marker[1]), markdown)
