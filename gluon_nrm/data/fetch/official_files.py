"""Official files of each data set: size, SHA-256 and servers.

The SHA-256 sums are published by several independent projects (TensorFlow Datasets, Keras, TorchVision's
prototypes). The MD5 sums that the authors of the data sets publish belong to the same files.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple


class Remote(NamedTuple):
    """A file and the servers that have it."""

    name: str
    size: int  # bytes
    sha256: str
    folders: Tuple[str, ...]  # URLs of folders that hold it, in the order of use


_CIFAR = ("https://www.cs.toronto.edu/~kriz", "https://cave.cs.toronto.edu/kriz")
_SVHN = ("https://ufldl.stanford.edu/housenumbers", "http://ufldl.stanford.edu/housenumbers")
_MNIST = (
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
    "http://yann.lecun.com/exdb/mnist",
)
_FASHION_MNIST = (
    "https://fashion-mnist.s3.eu-central-1.amazonaws.com",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
)

#: Files that are downloaded.
REMOTE: Dict[str, Tuple[Remote, ...]] = {
    "cifar10": (
        Remote(
            "cifar-10-binary.tar.gz",
            170052171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            _CIFAR,
        ),
    ),
    "cifar100": (
        Remote(
            "cifar-100-binary.tar.gz",
            168513733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            _CIFAR,
        ),
    ),
    "svhn": (
        Remote(
            "train_32x32.mat",
            182040794,
            "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
            _SVHN,
        ),
        Remote(
            "test_32x32.mat",
            64275384,
            "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
            _SVHN,
        ),
    ),
    "mnist": (
        Remote(
            "train-images-idx3-ubyte.gz",
            9912422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            _MNIST,
        ),
        Remote(
            "train-labels-idx1-ubyte.gz",
            28881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            _MNIST,
        ),
        Remote(
            "t10k-images-idx3-ubyte.gz",
            1648877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            _MNIST,
        ),
        Remote(
            "t10k-labels-idx1-ubyte.gz",
            4542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            _MNIST,
        ),
    ),
    "fashion_mnist": (
        Remote(
            "train-images-idx3-ubyte.gz",
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            _FASHION_MNIST,
        ),
        Remote(
            "train-labels-idx1-ubyte.gz",
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            _FASHION_MNIST,
        ),
        Remote(
            "t10k-images-idx3-ubyte.gz",
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            _FASHION_MNIST,
        ),
        Remote(
            "t10k-labels-idx1-ubyte.gz",
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            _FASHION_MNIST,
        ),
    ),
}

#: Files that are read too if the user puts them there.
BY_HAND: Dict[str, Tuple[Remote, ...]] = {
    "cifar10": (
        Remote(
            "cifar-10-python.tar.gz",
            170498071,
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            _CIFAR,
        ),
    ),
    "cifar100": (
        Remote(
            "cifar-100-python.tar.gz",
            169001437,
            "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
            _CIFAR,
        ),
    ),
}
