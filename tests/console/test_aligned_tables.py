"""Tables for a terminal: aligned columns, split where they are too wide; Markdown for files and pipes."""

from __future__ import annotations

import io

from gluon_nrm.console.aligned_tables import align, for_stream

MARKDOWN = r"""**Title: error (%)**

| recipe | runs | error |
|---|---:|---:|
| a\|b | 1 | 9.00 |
| longer name | 12 | 10.00 ± 1.00 |

\* not finished
"""

ALIGNED = """Title: error (%)

recipe       runs         error
-----------  ----  ------------
a|b             1          9.00
longer name    12  10.00 ± 1.00

* not finished
"""

NARROW = """Title: error (%)

recipe       runs
-----------  ----
a|b             1
longer name    12

recipe              error
-----------  ------------
a|b                  9.00
longer name  10.00 ± 1.00

* not finished
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_are_aligned() -> None:
    assert align(MARKDOWN) == ALIGNED
    assert align("no table\n") == "no table\n"


def test_a_wide_table_is_split() -> None:
    assert align(MARKDOWN, width=30) == NARROW
    # a column that does not fit alone is not lost
    assert align(MARKDOWN, width=5).count("\n") == NARROW.count("\n")


def test_only_a_terminal_gets_it() -> None:
    assert for_stream(MARKDOWN, io.StringIO()) == MARKDOWN
    assert for_stream(MARKDOWN, Terminal()) == ALIGNED
