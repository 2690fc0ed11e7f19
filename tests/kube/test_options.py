"""Annotations: what they may say, and what is said when they are wrong."""

from __future__ import annotations

from dataclasses import fields

import pytest

from sidecar.kube.options import PREFIX, READERS, Amount, InjectError, Options, read_options


def test_every_option_has_an_annotation_and_every_annotation_an_option() -> None:
    assert {f.name.replace("_", "-") for f in fields(Options)} == set(READERS)


def test_annotations_overrule_defaults_and_those_of_others_are_ignored() -> None:
    options = read_options(
        {PREFIX + "sample": "0.25", "sidecar.istio.io/inject": "true"},
        {"sample": "1", "image": "registry.example/shadow-sidecar@sha256:abc"},
    )
    assert options.sample == "0.25"
    assert options.image == "registry.example/shadow-sidecar@sha256:abc"


def test_several_shadows_are_split_and_an_amount_is_read() -> None:
    options = read_options(
        {
            PREFIX + "shadow": "candidate=a.models:9000, control=[2001:db8::1]:9000",
            PREFIX + "wire-memory": "64Mi/1Gi",
            PREFIX + "observer-cpu": "500m",
        },
        {},
    )
    assert options.shadow == ("candidate=a.models:9000", "control=[2001:db8::1]:9000")
    assert options.wire_memory == Amount("64Mi", "1Gi")
    assert options.observer_cpu == Amount("500m", "500m")


def test_every_error_is_told_at_once_with_what_is_allowed() -> None:
    with pytest.raises(InjectError) as raised:
        read_options(
            {
                PREFIX + "sampel": "0.1",
                PREFIX + "sample": "10%",
                PREFIX + "rate": "0",
                PREFIX + "intercept": "tproxy",
            },
            {},
        )
    lines = raised.value.errors
    assert len(lines) == 4
    assert "from 0 to 1" in next(x for x in lines if "'10%'" in x)
    assert "more than 0" in next(x for x in lines if x.startswith(PREFIX + "rate"))
    assert '"port" or "redirect"' in next(x for x in lines if "tproxy" in x)
    assert "upstream-port" in next(x for x in lines if "sampel" in x)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("upstream-port", "0"),
        ("upstream-port", "65536"),
        ("upstream-port", "not_a_port"),
        ("listen-port", "٩"),
        ("shadow", ""),
        ("shadow", "candidate"),
        ("shadow", "candidate:0"),
        ("shadow", "a:1,b:1"),
        ("shadow", "Loud=a:1"),
        ("shadow", "unix:/tmp/x"),
        ("sample", "nan"),
        ("sample", "1.5"),
        ("rate", "inf"),
        ("config-map", "Not A Name"),
        ("image", "two words"),
        ("otlp", "collector:4317"),
        ("run-as-user", "0"),
        ("drain-seconds", "-1"),
        ("wire-memory", "256Mi/64Mi"),
        ("wire-cpu", "lots"),
        ("mesh", "yes"),
    ],
)
def test_a_wrong_value_is_refused(name: str, value: str) -> None:
    with pytest.raises(InjectError, match=name):
        read_options({PREFIX + name: value}, {})


def test_a_value_that_is_no_string_is_refused_as_kubernetes_would() -> None:
    with pytest.raises(InjectError, match="as a string"):
        read_options({PREFIX + "sample": 0.5}, {})
