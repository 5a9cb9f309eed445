"""A discriminator of what an NRM renders (the paper's first open problem, section 7)."""

from __future__ import annotations

from typing import Any, List, Tuple

from mxnet.gluon import HybridBlock

from gluon_nrm.data.pipeline.streams import Step
from gluon_nrm.layers.quiet_block import QuietBlock
from gluon_nrm.losses.adversarial import Discrimination
from gluon_nrm.training.companions.codes import on_devices
from gluon_nrm.training.companions.companion import Companion, Setting
from gluon_nrm.training.companions.generator import learned
from gluon_nrm.training.stream_terms import StreamTerms
from gluon_nrm.typing import Operators, Tensor


class TellRendered(QuietBlock):
    """Loss of a discriminator on images (B, C, H, W) and renderings (B', C, H, W), (1,)."""

    def __init__(self, discriminator: HybridBlock, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.discriminator = discriminator
            self.discrimination = Discrimination()

    def hybrid_forward(self, F: Operators, x: Tensor, rendered: Tensor) -> Tensor:
        return self.discrimination(self.discriminator(x), self.discriminator(rendered))


class DiscriminatorCompanion(Companion):
    """Learns to tell images from what the network renders: h(0) along their own paths, and along draws.

    The network's loss ``adversarial`` is its other side.

    Args:
        setting: its optimiser and devices.
        discriminator: initialised on all devices.
    """

    terms = ("discrimination",)

    def __init__(self, setting: Setting, discriminator: HybridBlock) -> None:
        super().__init__(setting)
        self.discriminator = discriminator
        self.networks = {"discriminator": discriminator}
        self._prepare(TellRendered(discriminator), learned(discriminator))

    def arguments(self, step: Step, terms: List[StreamTerms], number: int) -> List[Tuple[Tensor, ...]]:
        """Return the images of the last stream and their renderings of this step."""
        stream = terms[-1]
        batch = step.labelled if stream.name == "labelled" else step.unlabelled
        assert batch is not None
        return list(zip(on_devices(batch.images, self.setting.devices), stream.rendered))
