"""Docstrings as Markdown: roles of Sphinx become code, tables in plain text become blocks."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`~?([^`]+)`")
TABLE = re.compile(r"^([ \t]*)(={4,}[ =]*\n.*?\n[ \t]*={4,}[ =]*)$", re.DOTALL | re.MULTILINE)


class Plain(Extension):
    """Rewrites each docstring once."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """See the class."""
        if obj.docstring is not None:
            text = ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = TABLE.sub(r"\1```text\n\1\2\n\1```", text)
