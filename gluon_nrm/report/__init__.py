"""From runs to tables and figures. Needs no MXNet."""
