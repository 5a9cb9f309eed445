"""``NAME.json``, the description of a pretrained network: origin, error, data and hash of its parameters."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Tuple

from gluon_nrm.data.facts.facts import Facts, input_shape
from gluon_nrm.errors import CheckpointError
from gluon_nrm.recipe import Recipe, recipe_from_text
from gluon_nrm.storage.json_io import SourceFile, read_json, read_value
from gluon_nrm.system.install import reinstall_line

FORMAT = 1
#: Most bytes of a file of parameters.
LARGEST = 3_000_000
#: A list without lists and objects in it, as ``json.dumps`` indents it.
_FLAT = re.compile(r"\[\s+([^\[\]{}]*?)\s+\]")


@dataclass(frozen=True)
class ParameterFile:
    """The file ``NAME.params`` beside the description."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class TestError:
    """Error of a pretrained network on all test images, in per cent."""

    per_cent: float
    images: int


@dataclass(frozen=True)
class PretrainedNetwork:
    """A pretrained network of the package, as its JSON file describes it."""

    format: int
    name: str
    #: "student" or "teacher" of the run
    network: str
    #: name of the recipe
    recipe: str
    #: see ``recipe_hash``
    recipe_hash: str
    seed: int
    dataset: str
    #: number of labelled training images
    labels: int
    test_error: TestError
    #: epochs of training
    epochs: int
    #: commit of the code that trained it
    commit: str
    #: day of publication, YYYY-MM-DD
    date: str
    #: version of the package that published it
    gluon_nrm: str
    params: ParameterFile
    #: the complete recipe
    settings: Dict[str, Any]
    #: facts of the data: classes, image shape, mean, std, and digests of the images; without paths
    data: Facts

    @property
    def model(self) -> str:
        """Name of the network for ``get_model``."""
        return str(self.settings["model"]["name"])

    @property
    def class_names(self) -> List[str]:
        """Names of the K classes."""
        return self.data.class_names

    @property
    def input_shape(self) -> Tuple[int, int, int]:
        """Channels, height and width of an image."""
        return input_shape(self.data)

    def load_recipe(self) -> Recipe:
        """Return the complete recipe.

        Raises:
            RecipeError: this version does not know a key of it.
        """
        return recipe_from_text(json.dumps(self.settings), f"{self.name}.json")


def without_paths(facts: Facts) -> Facts:
    """Return facts without the places of files on the machine that trained."""
    return replace(facts, path=None, data_dir="")


def description_text(found: PretrainedNetwork) -> str:
    """Format the contents of the JSON file; a list of values is one line."""
    text = json.dumps(asdict(found), indent=2)
    short = _FLAT.sub(lambda match: "[" + re.sub(r"\s*\n\s*", " ", match[1]) + "]", text)
    # a bracket inside of a string could be taken for a list
    return (short if json.loads(short) == json.loads(text) else text) + "\n"


def read_description(path: Path) -> PretrainedNetwork:
    """Read and check ``NAME.json``.

    Raises:
        CheckpointError: it is missing or damaged, or a newer version wrote it.
    """
    source = SourceFile(str(path), CheckpointError, reinstall_line())
    value = read_json(path, CheckpointError, remedy=source.remedy)
    version = value.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise CheckpointError(
            f"{path} has format {version}, this version reads {FORMAT}; use a newer gluon_nrm"
        )
    found: PretrainedNetwork = read_value(PretrainedNetwork, value, "", source)
    source.expect(found.name == path.stem, f"{path.stem}, as the file is called", "name")
    source.expect(0 < found.params.bytes <= LARGEST, f"at most {LARGEST}", "params.bytes")
    model = found.settings.get("model")
    source.expect(isinstance(model, dict) and "name" in model, "an object with a name", "settings.model")
    problem = found.data.problem()
    if problem is not None:
        source.damaged(f"data: {problem}")
    return found
