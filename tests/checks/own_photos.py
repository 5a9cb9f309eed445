"""Follow docs/own_photos.md on a few drawn photos: every command and the server, as they stand there.

    python tests/checks/own_photos.py                            # commands of this checkout, as processes
    python tests/checks/own_photos.py ELSEWHERE/bin/gluon-nrm    # those of another environment

Training is cut to a few steps, and nothing else is changed. Lines that install or draw are left out.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers")]

from snippets import snippet  # noqa: E402

from benchmarks.photos.draw_data_set import draw_data_set  # noqa: E402  (from this checkout)

PAGE = ROOT / "docs" / "own_photos.md"
#: What makes a training short.
SHORT = ("train.epochs=1", "train.epoch_steps=2", "train.batch_labelled=4", "train.eval_batch=8")
UNLABELLED = ("train.batch_unlabelled=4",)

#: Run a command line of gluon-nrm, without its first word, in the current folder.
Runner = Callable[[Sequence[str]], None]


def commands() -> List[List[str]]:
    """Return the command lines of the page that start with gluon-nrm, without that word, in order."""
    lines = []
    for block in re.findall(
        r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    ):
        lines += [shlex.split(line, comments=True) for line in block.splitlines()]
    return [words[1:] for words in lines if words and words[0] == "gluon-nrm"]


def shortened(words: Sequence[str]) -> List[str]:
    """Add the settings of a short training to a command that trains."""
    if words[0] != "train":
        return list(words)
    keys = SHORT + (UNLABELLED if words[1] == "photos" else ())
    return [*words, *(word for key in keys for word in ("--set", key))]


def follow(folder: Path, run: Runner) -> None:
    """Draw photos into ``folder``, follow the page there, and check what it leaves."""
    draw_data_set(folder / "my_photos", seed=0, labelled=2, unlabelled=8, test=1)
    (folder / "new_photos").mkdir()
    for path in (folder / "my_photos" / "test").glob("*/*.jpg"):
        shutil.copy(path, folder / "new_photos" / f"{path.parent.name}.jpg")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for words in commands():
            run(shortened(words))
        serve(run)
    finally:
        os.chdir(before)


def serve(run: Runner) -> None:
    """Run the server of the page on an export with --normalise, post photos, and compare with predict."""
    shutil.rmtree("exported")
    run(["export", "runs/photos-s0", "--format", "onnx", "--normalise", "--out", "exported"])
    code = snippet("serve photos", PAGE)
    scope: Dict[str, Any] = {}
    last = 'HTTPServer(("127.0.0.1", 8000), Classify).serve_forever()'
    assert code.strip().endswith(last)
    exec(code.replace(last, 'server = HTTPServer(("127.0.0.1", 0), Classify)'), scope)
    server = scope["server"]
    scope["Classify"].log_message = lambda *_: None
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        names = set(scope["about"]["class_names"])
        for path in sorted(Path("new_photos").iterdir())[:3]:
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
            connection.request("POST", "/", path.read_bytes())
            answer = json.loads(connection.getresponse().read())
            assert answer["class"] in names, answer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    program = sys.argv[1:] or [sys.executable, "-m", "gluon_nrm"]
    environment = {**os.environ, "PYTHONPATH": "" if sys.argv[1:] else str(ROOT)}

    def run(words: Sequence[str]) -> None:
        say(f"$ gluon-nrm {shlex.join(words)}")
        subprocess.run([*program, *words], env=environment, check=True)

    with tempfile.TemporaryDirectory() as folder:
        follow(Path(folder), run)
    say("docs/own_photos.md works")


if __name__ == "__main__":
    main()
