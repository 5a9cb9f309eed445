"""What an operator of the inference network becomes top-down, written once.

Inference is a CNN; rendering is its transpose at frozen latents (Section 3 of the paper, equation 5). Each
module here takes one family of operators and holds both sides of it: what bottom-up inference does, which
latents it leaves behind, and how rendering consumes them. The functions take the operator module ``F`` and
tensors and keep nothing, so they serve a layer of ours and a node of a traced graph alike; their keyword
arguments have the names of MXNet's own attributes.

=================  ==============================================  =====================
bottom-up          top-down                                        module
=================  ==============================================  =====================
convolution        its transpose, with the same weight             ``convolution``
fully connected    its transpose, with the same weight             ``linear``
(leaky) ReLU       multiplication by the inferred state            ``activation``
max-, min-pooling  unpooling at the inferred positions             ``pooling``
average pooling    every pixel spread over its window              ``pooling``
normalisation      multiplication by its frozen scale              ``normalisation``
sum                a copy to every summand                         ``structure``
concatenation      a split into the parts                          ``structure``
reshape, padding   the reshape back, the crop                      ``structure``
=================  ==============================================  =====================
"""

import gluon_nrm.system.needs_mxnet  # noqa: F401
