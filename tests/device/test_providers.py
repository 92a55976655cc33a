import pytest

from edge.device.providers import asked_provider, provider_names, short_name
from edge.errors import UsageError

JETSON = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


def test_names_are_short_and_the_cpu_is_first() -> None:
    assert provider_names(JETSON) == ("cpu", "tensorrt", "cuda")
    assert provider_names(["AzureExecutionProvider", "CPUExecutionProvider"]) == ("cpu",)
    assert short_name("XnnpackExecutionProvider") == "xnnpack"


@pytest.mark.parametrize("asked", ["cuda", "CUDA", "CUDAExecutionProvider"])
def test_a_provider_is_found_however_it_is_spelt(asked: str) -> None:
    assert asked_provider(asked, JETSON) == "CUDAExecutionProvider"


def test_a_provider_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UsageError) as caught:
        asked_provider("acl\x1b", JETSON)
    assert str(caught.value) == "this ONNX Runtime has no provider acl\\x1b"
    assert caught.value.hint == "it has cpu, tensorrt, cuda"
