"""Any CNN as a graph of operators: traced, run in both branches, reversed.

``trace`` reads a network; ``branches`` says what the Max and the Min branch share and ``evaluate`` runs them;
``shapes`` infers sizes; ``transpose`` turns an operator round by the rules of ``gluon_nrm.rules``.
"""

import gluon_nrm.system.needs_mxnet  # noqa: F401
