"""The Job of an image, and YAML that says what was meant."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.reasoning.kubernetes import image_job, kubernetes_name, yaml_text

JOB = image_job(
    "MobileNet_v2-cloud-cpu",
    "mobilenet-v2-cloud-cpu:0123456789ab",
    architecture="amd64",
    cores=2,
    memory_bytes=3_758_096_384,
)


def test_the_job_keeps_to_the_target() -> None:
    pod = JOB["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    limits = {"cpu": "2", "memory": "3584Mi"}
    assert container["resources"] == {"requests": limits, "limits": limits}
    assert container["image"] == "mobilenet-v2-cloud-cpu:0123456789ab"
    assert container["args"] == ["run"]
    assert pod["nodeSelector"]["kubernetes.io/arch"] == "amd64"


def test_the_job_may_do_as_little_as_possible() -> None:
    pod = JOB["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65534
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert pod["volumes"] == [{"name": "tmp", "emptyDir": {}}]


def test_memory_that_is_no_whole_number_of_mebibytes() -> None:
    job = image_job("m", "m:1", architecture="arm64", cores=1, memory_bytes=1_000_000_001)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "1000000001"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits-cnn-cloud-cpu", "digits-cnn-cloud-cpu"),
        ("MobileNet_v2.1+x", "mobilenet-v2-1-x"),
        ("-_-", "model"),
        ("a" * 62 + "-b", "a" * 62),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert kubernetes_name(name) == expected


def test_the_text_of_the_job() -> None:
    text = yaml_text(JOB, "one\n\ntwo")
    assert text.startswith("# one\n#\n# two\napiVersion: batch/v1\nkind: Job\n")
    assert '              memory: "3584Mi"\n' in text
    assert yaml.safe_load(text) == JOB


# What a YAML reader takes as a key is at most 1024 characters long.
WORDS = st.text(st.characters(max_codepoint=0xD7FF), max_size=40) | st.sampled_from(
    ["yes", "No", "1e3", "0x1", "~", "null", "a: b", "- a", "y"]
)
VALUES = st.recursive(
    WORDS | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.dictionaries(WORDS, VALUES, max_size=3))
def test_yaml_reads_back_as_it_was(document: dict[str, Any]) -> None:
    assert yaml.safe_load(yaml_text(document)) == document
