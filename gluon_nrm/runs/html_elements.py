"""HTML of runs: elements with escaped text, pictures as data URIs."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Iterable, Mapping, Sequence, Union
from xml.etree.ElementTree import Element, tostring

from PIL import Image

from gluon_nrm.errors import RunError
from gluon_nrm.storage.files import read_bounded

#: Most bytes of a picture.
LARGEST = 64 * 2**20

Child = Union[str, Element]


def element(tag: str, *children: Child, **attributes: str) -> Element:
    """Make an element; ``class_`` is ``class``, ``http_equiv`` is ``http-equiv``. Text is escaped later."""
    names = {name: name.rstrip("_").replace("_", "-") for name in attributes}
    made = Element(tag, {names[name]: _printable(value) for name, value in attributes.items()})
    last = None
    for child in children:
        if not isinstance(child, str):
            made.append(child)
            last = child
        elif last is None:
            made.text = (made.text or "") + _printable(child)
        else:
            last.tail = (last.tail or "") + _printable(child)
    return made


def table(rows: Iterable[Sequence[Child]], head: Sequence[str] = ()) -> Element:
    """Make a table; the first cell of each row is its heading."""
    made = element("table")
    if head:
        made.append(element("tr", *(element("th", name) for name in head)))
    for first, *others in rows:
        made.append(element("tr", element("th", first), *(element("td", cell) for cell in others)))
    return made


def facts_table(facts: Mapping[str, str]) -> Element:
    """Make a table of two columns: name and value."""
    return table(facts.items())


def picture(path: Path, description: str) -> Element:
    """Make an image that holds its PNG file.

    Raises:
        RunError: the file cannot be read, or is no PNG image.
    """
    data = read_bounded(path, RunError, LARGEST)
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.verify()
    except Exception as problem:  # Pillow raises errors of many kinds for damaged files
        raise RunError(f"{path} is no PNG image ({problem}); remove it and draw it again") from None
    uri = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    return element("img", src=uri, alt=description)


def to_html(*elements: Element) -> str:
    """Write elements as HTML."""
    return "".join(tostring(each, encoding="unicode", method="html") for each in elements)


def _printable(text: str) -> str:
    """Replace characters that HTML cannot hold."""
    return "".join(char if char in "\n\t" or char.isprintable() else "\ufffd" for char in text)
