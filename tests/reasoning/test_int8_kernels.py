"""The form of int8 that each kind of processor is given."""

import pytest

from edge.reasoning.int8_kernels import int8_choice


@pytest.mark.parametrize(
    ("architecture", "features", "activations", "reduced", "why"),
    [
        (
            "x86_64",
            ("avx2", "avx512_vnni"),
            "uint8",
            False,
            "uint8 activations with int8 weights, in the 32-bit sums of avx512_vnni",
        ),
        (
            "x86_64",
            ("avx2", "avx_vnni"),
            "uint8",
            False,
            "uint8 activations with int8 weights, in the 32-bit sums of avx_vnni",
        ),
        (
            "x86_64",
            ("avx2", "avx512f"),
            "uint8",
            True,
            (
                "without VNNI, products of uint8 and int8 are added in 16 bits, which saturate:"
                " weights of 7 bits keep the sums right"
            ),
        ),
        (
            "aarch64",
            ("asimd",),
            "int8",
            False,
            "int8 activations and weights, in 16-bit products (smull), for there is no dot product",
        ),
        (
            "aarch64",
            ("asimd", "asimddp"),
            "int8",
            False,
            "int8 activations and weights, in the dot products of asimddp (sdot)",
        ),
        (
            "aarch64",
            ("asimddp", "i8mm"),
            "int8",
            False,
            "int8 activations and weights, in the matrix products of i8mm (smmla)",
        ),
        (
            "riscv64",
            (),
            "uint8",
            True,
            "uint8 activations, and weights of 7 bits, are what every kernel computes right",
        ),
    ],
)
def test_choice(
    *, architecture: str, features: tuple[str, ...], activations: str, reduced: bool, why: str
) -> None:
    choice = int8_choice(architecture, features)
    assert (choice.activations, choice.reduce_range) == (activations, reduced)
    assert not choice.symmetric
    assert choice.why == why
