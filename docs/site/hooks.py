"""Hooks of the site: pages that lie outside docs/, and links that lead out of it.

README.md, CONTRIBUTING.md, CHANGELOG.md and results/README.md stay where people look for them in a
repository, and the site shows them as pages. Other files of the repository that a page links to are copied.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Dict, Iterator, Tuple

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
#: File of the repository -> page of the site.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
    "results/README.md": "results.md",
    "recipes/README.md": "recipe_list.md",
}
#: Markdown link or picture: text, target, anchor.
LINK = re.compile(r"\[((?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
#: Source of a picture written in HTML.
PICTURE = re.compile(r'(?<=<img src=")[^"]+')


def on_files(files: Files, config: Any) -> Files:
    """Add the pages outside docs/ and the files that any page links to."""
    sources = {f"docs/{file.src_uri}": Path(file.abs_src_path) for file in files.documentation_pages()}
    for source, page in PAGES.items():
        sources[source] = ROOT / source
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for source, path in sources.items():
        for target in _repository_files(source, path.read_text(encoding="utf-8")):
            if files.get_file_from_path(_uri(target)) is None:
                files.append(File.generated(config, _uri(target), abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn a page's links, written for the repository, to pages and files of the site.

    A link to a folder becomes its text: the site has no listing of it.
    """
    uri = page.file.src_uri
    source = _sources().get(uri, f"docs/{uri}")

    def placed(target: str) -> str:
        """Return the path from this page to a file of the repository in the site."""
        return posixpath.relpath(_uri(target), posixpath.dirname(uri) or ".")

    def turned(match: re.Match[str]) -> str:
        """Return one link as the site has it."""
        text, link, anchor = match.group(1), match.group(2), match.group(3) or ""
        if not _is_local(link):
            return match.group(0)
        target = _resolve(source, link)
        if (ROOT / target).is_dir():
            return text
        return f"[{text}]({placed(target)}{anchor})"

    markdown = PICTURE.sub(lambda match: placed(_resolve(source, match.group(0))), markdown)
    return LINK.sub(turned, markdown)


def _sources() -> Dict[str, str]:
    return {page: source for source, page in PAGES.items()}


def _uri(target: str) -> str:
    """Return the place in the site of a file of the repository."""
    if target in PAGES:
        return PAGES[target]
    return target[len("docs/") :] if target.startswith("docs/") else f"source/{target}"


def _is_local(link: str) -> bool:
    return bool(link) and "://" not in link and not link.startswith(("mailto:", "/"))


def _resolve(source: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def _repository_files(source: str, markdown: str) -> Iterator[str]:
    """Yield the files of the repository outside docs/ that a page links to."""
    for _, link, _ in _links(markdown):
        target = _resolve(source, link)
        if target not in PAGES and not target.startswith("docs/") and (ROOT / target).is_file():
            yield target


def _links(markdown: str) -> Iterator[Tuple[str, str, str]]:
    for match in LINK.finditer(markdown):
        if _is_local(match.group(2)):
            yield match.group(1), match.group(2), match.group(3) or ""
