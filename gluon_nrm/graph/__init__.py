"""Any CNN as a graph of operators: traced, run in both branches, rendered through.

``trace`` reads a network; ``branches`` finds what the Max and the Min branch share; ``evaluate`` runs them;
``shapes`` infers sizes; ``rendering_plan`` plans the rendering pass and ``render`` runs it; ``transpose`` has
the transpose of each operator, by the rules of ``gluon_nrm.rules``.
"""

import gluon_nrm.system.needs_mxnet  # noqa: F401
