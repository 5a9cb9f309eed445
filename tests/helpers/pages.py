"""Reads HTML strictly: its texts, its tables and its pictures."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from typing import Any, Dict, List, Optional, Tuple

from PIL import Image

#: Elements without an end.
VOID = ("img", "meta")
#: Attributes that name another file.
LINKS = ("href", "src", "srcset", "action", "data", "poster", "background")


class Page(HTMLParser):
    """A page; an element that is not closed, a script, or a link to anything outside of it is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: List[str] = []
        #: text of each element that has text alone, with its tag
        self.texts: List[Tuple[str, str]] = []
        #: cells of each row of a table
        self.rows: List[List[str]] = []
        self.pictures: List[bytes] = []
        self.metas: List[Dict[str, Optional[str]]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        found = dict(attrs)
        assert tag not in ("script", "link", "iframe", "object", "base") and not any(
            name.startswith("on") for name in found
        )
        for name in LINKS:
            if name in found:
                kind, data = str(found[name]).split(",")
                assert (tag, name, kind) == ("img", "src", "data:image/png;base64")
                self.pictures.append(base64.b64decode(data, validate=True))
                assert found["alt"]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "meta":
            self.metas.append(found)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            assert "url(" not in data and "@import" not in data
        if self.open and data.strip():
            self.texts.append((self.open[-1], data))
            if self.open[-1] in ("td", "th"):
                self.rows[-1][-1] += data

    def of(self, tag: str) -> List[str]:
        """Texts of all elements of a tag."""
        return [text for name, text in self.texts if name == tag]

    def decode_pictures(self) -> List[Tuple[int, int]]:
        """Decode every picture; their widths and heights."""
        sizes = []
        for data in self.pictures:
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                sizes.append(image.size)
        return sizes
