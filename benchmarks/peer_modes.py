"""Ways of running PyTorch that are measured, and those of them that a Python cannot run.

It imports the standard library alone, because both sides read it; PyTorch is imported where it is needed.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple


class PeerMode(NamedTuple):
    """A way of running PyTorch."""

    compiled: bool = False
    channels_last: bool = False
    bfloat16: bool = False

    @property
    def title(self) -> str:
        """Return a title such as "compiled, channels last"."""
        words = [
            "autocast bfloat16" if self.bfloat16 else "",
            "compiled" if self.compiled else "",
            "channels last" if self.channels_last else "",
        ]
        return ", ".join(filter(None, words)) or "eager"


PEER_MODES: Dict[str, PeerMode] = {
    "eager": PeerMode(),
    "compiled": PeerMode(compiled=True),
    "compiled_channels_last": PeerMode(compiled=True, channels_last=True),
    "bfloat16": PeerMode(bfloat16=True),
    "bfloat16_compiled": PeerMode(compiled=True, bfloat16=True),
    "bfloat16_compiled_channels_last": PeerMode(compiled=True, channels_last=True, bfloat16=True),
}

#: oldest PyTorch that has all that is used: the update of all parameters in one pass on the CPU
OLDEST = (2, 4)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function as one graph; it fails if a part of it would stay uncompiled."""
    import torch

    return torch.compile(function, fullgraph=True, dynamic=False)


def obstacles() -> Dict[str, str]:
    """Return the modes that this Python's PyTorch cannot run, each with the reason."""
    import torch

    if tuple(map(int, torch.__version__.split(".")[:2])) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        return dict.fromkeys(
            PEER_MODES, f"PyTorch {torch.__version__} is too old; {wanted} or newer is needed"
        )
    try:
        compiled(lambda x: (x.cos() + 1.0).sum())(torch.ones(8))
    except Exception as problem:  # whatever the compiler raises
        text = str(problem).strip() or type(problem).__name__
        reason = f"torch.compile fails: {text.splitlines()[0]}"
        return {name: reason for name, mode in PEER_MODES.items() if mode.compiled}
    return {}
