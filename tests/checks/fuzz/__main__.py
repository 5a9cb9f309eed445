"""Give the package's readers damaged and hostile files, and report what is not refused in a line or two.

python tests/checks/fuzz                                 # a minute, seed 0
python tests/checks/fuzz --seconds 600 --seed 3          # longer, other cases
python tests/checks/fuzz --only recipe,images            # some kinds alone
python tests/checks/fuzz --replay fuzz-findings/rec-17   # one finding again, with its traceback
"""

import os
import sys
from pathlib import Path

# Set before anything imports MXNet: networks this small run faster on one thread than on two.
os.environ.setdefault("OMP_NUM_THREADS", "1")
CHECKS, TESTS, ROOT = Path(__file__).resolve().parents[1:4]
sys.path[:0] = [str(CHECKS), str(TESTS / "helpers"), str(ROOT)]

if __name__ == "__main__":
    from fuzz.runner import main

    sys.exit(main(sys.argv[1:]))
