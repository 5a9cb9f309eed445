"""Classification of image files in one call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, Optional, Sequence, Union

from gluon_nrm.predict.find_images import find_images
from gluon_nrm.predict.open_classifier import open_classifier
from gluon_nrm.predict.predict_images import ImagePrediction, predict
from gluon_nrm.predict.predict_options import PredictOptions

File = Union[str, Path]


def classify(
    model: File,
    images: Union[File, Sequence[File]],
    *,
    top: int = 5,
    resize: bool = False,
    options: Optional[PredictOptions] = None,
) -> List[ImagePrediction]:
    """Classify image files.

        classify("digits_maxmin_mt_50", "scan.png")[0].top[0].name

    Args:
        model: as for ``open_classifier``, which is quicker for many calls.
        images: a file, a folder or a pattern, or several.
        top: number of classes of each image, best first.
        resize: scale images of other sizes, and cut out their middle.
        options: as for ``open_classifier``.

    Returns:
        The prediction of each image, in order.

    Raises:
        NRMError: the model cannot be opened, or an image cannot be read or has another size.
    """
    places = [images] if isinstance(images, (str, Path)) else images
    files = find_images([os.fspath(place) for place in places])
    return list(predict(open_classifier(model, options), files, top=top, resize=resize))
