"""Changes of JSON, YAML, CSV and lists of numbers that keep most of the text readable."""

from __future__ import annotations

import json
import random
import re
from typing import Any, Callable, Dict, List, Tuple

#: Words that one reader or another takes for something else than a string.
ODD_WORDS = (
    "",
    " ",
    "null",
    "~",
    "true",
    "True",
    "no",
    "0",
    "-1",
    "-0",
    "1",
    "2147483647",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "1" * 30,
    "9" * 5000,
    "1e400",
    "-1e400",
    "1e-320",
    "1e308",
    "1e999999999",
    ".inf",
    "-.inf",
    ".nan",
    "NaN",
    "Infinity",
    "nan",
    "inf",
    "1_000",
    "0x1f",
    "0o17",
    "12:30:45",
    "2024-02-31",
    "1.5",
    "0.1",
    "100",
    "20",
    "a" * 300,
    "a" * 200_000,
    "é",
    "名前",
    "\u202etxt",
    "\x1b[31mred",
    "\0",
    "\x07",
    "a\nb",
    "a\r\nb",
    "\u2028",
    "\ud800",
    "\U0001f600",
    "../../etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    "/",
    "..",
    "a/b",
    "con",
    "'",
    '"',
    "#",
    "|",
    ">",
    "&a",
    "*a",
    "!!python/object:os.system",
    "%",
    "@x",
    "`",
    "{",
    "[",
    "---",
    "...",
    "\t",
    "%s%n",
    "{0}",
    "١٢",
    "²",
    "cpu",
    "digits",
    "folder",
    "onnx",
    "max",
    "data",
    "x.y.z",
)

Change = Callable[[random.Random, str], str]


def odd_value(rng: random.Random) -> Any:
    """A JSON value where another is expected."""
    return rng.choice(
        (
            None,
            True,
            False,
            0,
            -1,
            1,
            2**31 - 1,
            2**31,
            2**63 - 1,
            2**63,
            -(2**63),
            10**400,
            1e308,
            5e-324,
            float("nan"),
            float("inf"),
            -0.0,
            0.5,
            [],
            {},
            [[]],
            [None],
            [0] * 300,
            {"": 0},
            {"a": {"b": {"c": []}}},
            rng.choice(ODD_WORDS),
            rng.choice(ODD_WORDS),
            rng.choice(ODD_WORDS),
        )
    )


def places(value: Any) -> List[Tuple[Any, Any]]:
    """Every place of a JSON value: what holds it, and its key."""
    found: List[Tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        here = waiting.pop()
        keys: Any = (
            here.keys() if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
        )
        found += [(here, key) for key in keys]
        waiting += [here[key] for key in keys]
    return found


def change_value(rng: random.Random, value: Any) -> Any:
    """Change a JSON value in one place, and return it."""
    found = places(value)
    if not found or rng.random() < 0.02:
        return odd_value(rng)
    holder, key = rng.choice(found)
    what = rng.randrange(8)
    if what < 4:
        holder[key] = odd_value(rng)
    elif what == 4:
        del holder[key]
    elif what == 5 and isinstance(holder, dict):
        holder[rng.choice(ODD_WORDS)] = holder.pop(key) if rng.random() < 0.5 else odd_value(rng)
    elif what == 6:
        other, place = rng.choice(found)
        # a copy: JSON has no cycles
        holder[key] = (
            json.loads(json.dumps(other[place])) if isinstance(place, str) or place < len(other) else 0
        )
    elif isinstance(holder[key], list) and holder[key]:
        holder[key] = holder[key] * rng.choice((2, 100, 1000))
    else:
        holder[key] = [holder[key]]
    return value


def change_json(rng: random.Random, text: str) -> str:
    what = rng.randrange(14)
    if what == 0:
        return nested(rng, "[", "]")
    if what == 1:
        return nested(rng, '{"a":', "}", "0")
    if what == 2:  # inside the value, where depth is met late
        return re.sub(r": *(?=[^ ])", lambda m: f': {"[" * 3000}{"]" * 3000}, "x": ', text, count=1)
    if what == 3:
        return text.replace(":", rng.choice((": 1e400 +", ': NaN, "x":', ":\x00", ": 00", ":\ufeff")), 1)
    if what == 4:  # a key twice
        return re.sub(r'"(\w+)":', rf'"\1": {rng.choice(("1", "null", "[]"))}, "\1":', text, count=1)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # changed before
        return text[: len(text) // 2]
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        value = change_value(rng, value)
    return json.dumps(value, ensure_ascii=rng.random() < 0.5)


def nested(rng: random.Random, opening: str, closing: str, middle: str = "") -> str:
    depth = rng.choice((50, 900, 1100, 5000, 100_000))
    return opening * depth + middle + closing * rng.choice((depth, 0))


def change_json_lines(rng: random.Random, text: str) -> str:
    lines = text.split("\n")
    number = rng.randrange(len(lines))
    what = rng.randrange(6)
    if what < 4:
        lines[number] = change_json(rng, lines[number] or "{}")
    elif what == 4:
        lines[number : number + 1] = [lines[number]] * rng.choice((0, 2, 50))
    else:
        rng.shuffle(lines)
    return rng.choice(("\n", "\n", "\n", "\r\n", "\r", "\x85")).join(lines)


def change_yaml(rng: random.Random, text: str) -> str:
    return rng.choice(YAML_CHANGES)(rng, text)


def _odd_scalar(rng: random.Random, text: str) -> str:
    """Put an odd word in place of a value, as it is or between quotes."""
    found = list(re.finditer(r"(?<=[:,\[{-] )[^\s,{}\[\]#][^\n,{}\[\]#]*", text))
    if not found:
        return text
    match, word = rng.choice(found), rng.choice(ODD_WORDS)
    if rng.random() < 0.3:
        word = json.dumps(word)
    return text[: match.start()] + word + text[match.end() :]


def _odd_key(rng: random.Random, text: str) -> str:
    found = list(re.finditer(r"\w+(?=: )", text))
    if not found:
        return text
    match = rng.choice(found)
    return text[: match.start()] + rng.choice(ODD_WORDS) + text[match.end() :]


def _move_line(rng: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    if not lines:
        return text
    line = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.choice((0, 1, 2))):
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(("", " ", "  ", "- ", "\t")) + line)
    return "".join(lines)


def _bomb(rng: random.Random, text: str) -> str:
    """Aliases that double, or add a hundredfold, at every step."""
    width, depth = rng.choice(((2, 40), (10, 9), (1, 2000), (3, 12)))
    steps = ["b0: &b0 [1, 1]"]
    steps += [f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * width)}]" for n in range(1, depth)]
    return "\n".join([*steps, text]) if rng.random() < 0.5 else text + "\n".join(["", *steps, ""])


def _deep(rng: random.Random, text: str) -> str:
    kind = rng.randrange(4)
    depth = rng.choice((50, 400, 1100, 20_000))
    if kind == 0:
        return nested(rng, "[", "]")
    if kind == 1:
        return text + "\ndeep: " + "{a: " * depth + "1" + "}" * depth + "\n"
    if kind == 2:
        return text + "\ndeep: " + "- " * depth + "1\n"
    return text + "".join(f"\n{' ' * n}k:" for n in range(min(depth, 1100))) + " 1\n"


def _decorated(rng: random.Random, text: str) -> str:
    marks = (
        "!!python/name:os.system ",
        "!!binary ",
        "!!timestamp ",
        "!x ",
        "&a ",
        "*a ",
        "<<: ",
        "!<tag:x> ",
        "? ",
    )
    return text.replace(": ", ": " + rng.choice(marks), rng.choice((1, 2, -1)))


def _documents(rng: random.Random, text: str) -> str:
    return rng.choice(
        (
            f"{text}---\n{text}",
            f"%YAML 9.9\n---\n{text}",
            f"%TAG ! x\n{text}",
            f"...\n{text}",
            f"\ufeff{text}",
            text.replace("\n", "\r"),
            text.replace("\n", "\u2028"),
            f"? [a, b]\n: 1\n{text}",
            f"? {{a: 1}}\n: 1\n{text}",
            f"2024-01-01: 1\n{text}",
        )
    )


YAML_CHANGES: List[Change] = [
    _odd_scalar,
    _odd_scalar,
    _odd_scalar,
    _odd_scalar,
    _odd_key,
    _move_line,
    _bomb,
    _deep,
    _decorated,
    _documents,
]


def change_words(rng: random.Random, text: str) -> str:
    """Change one field of a table whose fields are separated by commas, tabs or blanks, or its lines."""
    what = rng.randrange(8)
    if what == 0:
        return _move_line(rng, text)
    if what == 1:
        return text + rng.choice(('"', '"a\n' * 50, "\0", "," * 200, "\t" * 200, "x" * 140_000, "\n" * 50))
    separator = "," if "," in text else "\t" if "\t" in text else " "
    if what == 2:
        return text.replace(separator, rng.choice((";", separator * 2, "", "\0", ' "')), rng.choice((1, -1)))
    words = re.split(r"([,\t \n])", text)
    place = rng.randrange((len(words) + 1) // 2) * 2
    words[place] = (
        rng.choice(ODD_WORDS) if rng.random() < 0.8 else words[rng.randrange((len(words) + 1) // 2) * 2]
    )
    return "".join(words)


TEXTS: Dict[str, Change] = {
    ".json": change_json,
    ".jsonl": change_json_lines,
    ".yaml": change_yaml,
    ".csv": change_words,
    ".txt": change_words,
    ".idx": change_words,
    ".lst": change_words,
    ".set": change_yaml,
}


def change(rng: random.Random, data: bytes, ending: str) -> bytes:
    text = TEXTS[ending](rng, data.decode("utf-8", errors="replace"))
    coding = rng.choices(("utf-8", "utf-16", "utf-32", "latin-1"), (40, 1, 1, 1))[0]
    # a lone surrogate becomes the bytes that no UTF-8 has
    return text.encode(coding, errors="surrogatepass" if coding == "utf-8" else "replace")
