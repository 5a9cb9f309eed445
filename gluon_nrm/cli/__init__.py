"""The commands: ``gluon-nrm COMMAND``, ``python -m gluon_nrm COMMAND``, and the scripts in ``tools/``.

``main`` checks the set-up and imports the one command that is called. Each other module is a command, with a
function ``main`` of its arguments.
"""
