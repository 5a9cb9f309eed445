"""The semi-supervised tables of the paper: rows, columns and the recipe of each cell."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

from gluon_nrm.errors import RunError
from gluon_nrm.option_names import option
from gluon_nrm.recipe import Recipe, load_recipe
from gluon_nrm.storage.files import exists

#: Rows that this package runs, in the order of the tables, with the suffix of their recipes. The paper has
#: a row in a table if published.csv lists it there: Table 4 has no row with all four parts, Tables 3 and 5
#: none with NRM + RPN + Mean Teacher alone, and NRM + RPN + VAT is our own.
METHODS: Dict[str, str] = {
    "ALI": "ali",
    "Improved GAN": "improved_gan",
    "Ladder network": "ladder",
    "Improved GAN + Jacobian reg. + tangents": "tangents",
    "Pi model": "pi",
    "Temporal Ensembling": "temporal",
    "Mean Teacher": "mt",
    "VAT + EntMin": "vat",
    "Supervised only": "supervised",
    "DRM": "drm",
    "NRM without RPN": "nrm",
    "NRM + RPN": "nrm_rpn",
    "NRM + RPN + Max-Min": "nrm_rpn_maxmin",
    "NRM + RPN + Mean Teacher": "nrm_rpn_mt",
    "NRM + RPN + Max-Min + Mean Teacher": "maxmin_mt",
    "NRM + RPN + VAT": "nrm_vat",
}

#: Rows with a network of their own, and the tables in which the paper has them. The other tables have no
#: such row; on a data set that the paper does not use, all rows are run.
OWN_NETWORKS: Dict[str, Tuple[str, ...]] = {
    "ALI": ("table3", "table5"),
    "Improved GAN": ("table3", "table5"),
    "Ladder network": ("table3",),
    "Improved GAN + Jacobian reg. + tangents": ("table5",),
}


class Column(NamedTuple):
    """A number of labels."""

    name: str
    labels: Optional[int]  # None: all training images are labelled


class Cell(NamedTuple):
    """One method with one number of labels."""

    method: str
    column: Column
    recipe: str  # the stem of its file
    overrides: Tuple[str, ...]

    def load(self, recipes: Path, *more: str) -> Recipe:
        """Read its recipe from the folder ``recipes``; ``more`` are further overrides."""
        return load_recipe(recipes / f"{self.recipe}.yaml", [*self.overrides, *more])


@dataclass(frozen=True)
class Table:
    """One table of the paper, on its own data set or on another."""

    name: str
    title: str
    data: str
    columns: Tuple[Column, ...]
    own: bool = True  # on the paper's data set, so that reported errors apply

    @property
    def cells(self) -> List[Cell]:
        """All cells of the methods that this package runs, row by row."""
        return [self.cell(method, column) for method in self.methods for column in self.columns]

    @property
    def methods(self) -> List[str]:
        """The rows that this package runs."""
        return [name for name in METHODS if not self.own or self.name in OWN_NETWORKS.get(name, (self.name,))]

    @property
    def stem(self) -> str:
        """Name of its files, without their endings."""
        return self.name if self.own else f"{self.name}_{self.data}"

    def runnable(self, recipes: Path) -> List[Cell]:
        """Return the cells that have a recipe in the folder ``recipes``; the others stay empty.

        Raises:
            RunError: the folder cannot be read.
        """
        stems = {cell.recipe for cell in self.cells}
        found = {stem for stem in stems if exists(recipes / f"{stem}.yaml", RunError)}
        return [cell for cell in self.cells if cell.recipe in found]

    def cell(self, method: str, column: Column) -> Cell:
        """Return the cell of a row and a column."""
        stem = f"{self.data}_{METHODS[method]}"
        if column.labels is None:
            return Cell(method, column, f"{stem}_all", ())
        return Cell(method, column, stem, (f"data.labels={column.labels}",))

    def folder(self, column: Column) -> str:
        """Name the folder of a column's runs inside the folder of all runs."""
        return f"{self.data}-{'all' if column.labels is None else column.labels}"


TABLES = {
    table.name: table
    for table in (
        Table("table3", "CIFAR-10 (Table 3)", "cifar10",
              (Column("1K", 1000), Column("2K", 2000), Column("4K", 4000), Column("50K", None))),
        Table("table4", "CIFAR-100 (Table 4)", "cifar100", (Column("10K", 10000), Column("50K", None))),
        Table("table5", "SVHN (Table 5)", "svhn",
              (Column("250", 250), Column("500", 500), Column("1000", 1000), Column("73257", None))),
    )
}  # fmt: skip

#: Columns of the tables' methods on a data set that the paper does not use.
STAND_INS = {
    "digits": ("the embedded digits", (Column("50", 50), Column("100", 100))),
    "fashion_mnist": ("Fashion-MNIST", (Column("500", 500), Column("1000", 1000), Column("all", None))),
}


def get_table(name: str, data: Optional[str] = None) -> Table:
    """Return a table, on its own data set or with its methods on ``data``.

    Raises:
        RunError: there are no recipes of its methods for that data set.
    """
    table = TABLES[name]
    if data is None or data == table.data:
        return table
    if data not in STAND_INS:
        close = " or ".join(difflib.get_close_matches(data, STAND_INS, n=1) or STAND_INS)
        raise RunError(
            f"{option('data')}: {name} is of {table.data}; it can also be made of {close}, not of {data!r}"
        )
    title, columns = STAND_INS[data]
    number = name[len("table") :]
    return Table(name, f"The methods of Table {number} on {title}", data, columns, own=False)
