"""Links of the site: README.md is its home page, and files of the repository that pages name are pages of their own.

The pages link to each other and to files as they lie in the repository, so that they can be read there. Here a link out
of ``docs/`` leads to a page below ``source/`` that shows the file. After the build, nothing may load from another host.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)((?:#[^)]*)?\))")
FENCE = re.compile(r"(^(?P<ticks>`{3,}|~{3,}).*?^(?P=ticks)\s*$)", re.DOTALL | re.MULTILINE)
LANGUAGES = {".py": "python", ".yaml": "yaml", ".json": "json", ".toml": "toml"}
#: What makes a browser load something, as opposed to a link that a reader may follow.
LOADS = re.compile(r"""<(?:script|img|iframe|link(?![^>]*rel="canonical"))\b[^>]*?(?:src|href)="(?:https?:)?//[^"]+""")


def page_of(target: str) -> str:
    """The site's source path of a path in the repository."""
    if target == "README.md":
        return "index.md"
    if target.startswith("docs/report/") and target.endswith("report.md"):
        return target.removeprefix("docs/").removesuffix(".md") + ".html"
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    return f"source/{target.rstrip('/')}" + ("" if target.endswith((".md", ".png")) else ".md")


def home_of(page: str) -> str:
    """The folder in the repository in which the text of a page lies."""
    if page == "index.md":
        return ""
    return posixpath.dirname(page.removeprefix("source/") if page.startswith("source/") else f"docs/{page}")


def targets(page: str, text: str) -> list[str]:
    """The paths in the repository that a page links to."""
    prose = FENCE.sub("", text)
    return [posixpath.normpath(posixpath.join(home_of(page), link[2])) for link in LINK.finditer(prose)]


def shown(path: Path) -> str | bytes:
    """The page that shows a file or a folder of the repository; a picture as it is."""
    name = path.relative_to(ROOT).as_posix()
    head = "---\nsearch: {exclude: true}\nhide: [toc, navigation]\n---\n"
    if path.suffix == ".png":
        return path.read_bytes()
    if path.is_dir():
        return f"{head}# `{name}/`\n\n" + "\n".join(f"- `{item.name}`" for item in sorted(path.iterdir()))
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return head + text
    return f"{head}# `{name}`\n\n````{LANGUAGES.get(path.suffix, 'text')}\n{text.rstrip()}\n````\n"


def on_files(files: Files, config: Any) -> Files:
    """Add the home page and the files that pages link to."""
    files.append(File.generated(config, "index.md", content=(ROOT / "README.md").read_text(encoding="utf-8")))
    pages = list(files.documentation_pages())
    while pages:
        page = pages.pop()
        for target in targets(page.src_uri, page.content_string):
            name = page_of(target)
            if name.startswith("source/") and (ROOT / target).exists() and files.get_file_from_path(name) is None:
                file = File.generated(config, name, content=shown(ROOT / target))
                files.append(file)
                pages += [file] if file.is_documentation_page() else []
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to where the site has what they name."""
    here = page.file.src_uri

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(home_of(here), link[2]))
        return link[1] + posixpath.relpath(page_of(target), posixpath.dirname(here) or ".") + link[3]

    parts = FENCE.split(markdown)  # text, fence, its ticks, text, ...
    for place in range(0, len(parts), 3):
        parts[place] = LINK.sub(moved, parts[place])
    return "".join(part for place, part in enumerate(parts) if place % 3 != 2)


def on_post_build(config: Any) -> None:
    """Fail if a page loads anything from another host."""
    for path in sorted(Path(config.site_dir).rglob("*.html")):
        found = LOADS.search(path.read_text(encoding="utf-8"))
        if found:
            raise PluginError(f"{path} loads from another host: {found[0]}")
