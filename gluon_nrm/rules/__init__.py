"""The rendering rule of each operator: the transpose of its inference at frozen latents.

Inference is a CNN; rendering is its transpose at frozen latents (Section 3 of the paper, equation 5). Each
module covers one family of operators in both directions: inference, its latents, rendering through them. The
functions are pure: they take the operator module ``F`` and tensors. Layers and traced graphs both use them.
Keyword arguments are named as MXNet's attributes.

=================  ==============================================  =====================
bottom-up          top-down                                        module
=================  ==============================================  =====================
convolution        its transpose, with the same weight             ``convolution``
fully connected    its transpose, with the same weight             ``linear``
(leaky) ReLU       multiplication by the inferred state            ``activation``
max-, min-pooling  unpooling at the inferred positions             ``pooling``
average pooling    spreading of every pixel over its window        ``pooling``
any pooling        the same for overlapping or padded windows      ``windows``
normalisation      multiplication by its frozen scale              ``normalisation``
sum                a copy to every summand                         ``structure``
concatenation      a split into the parts                          ``structure``
reshape, padding   the reshape back, the crop                      ``structure``
=================  ==============================================  =====================
"""

import gluon_nrm.system.needs_mxnet  # noqa: F401
