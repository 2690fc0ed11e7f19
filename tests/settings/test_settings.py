"""Configuration: precedence, and every error at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sidecar.fields import ConfigError
from sidecar.settings.settings import Settings
from sidecar.settings.sources import load, put

SHADOW = {"shadows": [{"address": "127.0.0.1:9002"}]}


def test_nothing_given_is_the_defaults() -> None:
    assert load(environ={}) == Settings()


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("sample: {fraction: 0.1}\npaused: true\nhttp: {listen: '127.0.0.1:1'}\n")
    environ = {"SHADOW_SIDECAR_SAMPLE__FRACTION": "0.2", "SHADOW_SIDECAR_PAUSED": "false"}
    settings = load(file, environ, {"sample": {"fraction": 0.3}})
    assert settings.sample.fraction == 0.3
    assert settings.paused is False
    assert settings.http.listen == "127.0.0.1:1"
    assert settings.pairs == Settings().pairs


def test_lists_come_from_the_environment_as_yaml() -> None:
    environ = {"SHADOW_SIDECAR_SHADOWS": "[{name: a, address: 'h:1'}, {name: b, address: 'h:2'}]"}
    assert [shadow.name for shadow in load(environ=environ).shadows] == ["a", "b"]


def test_every_error_is_told_at_once_with_key_value_and_what_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text(
        "sample: {fraction: 2}\n"
        "wire: {routes: [{listen: nowhere, upstream: 'h:1'}], colour: red}\n"
        "shadows: [{name: 'Not A Name'}]\n"
        "telemetry: {traces: sideways}\n"
    )
    with pytest.raises(ConfigError) as refused:
        load(file, {"SHADOW_SIDECAR_HTTP__LISTEN": "nowhere"})
    errors = "\n".join(refused.value.errors)
    for said in (
        "sample.fraction: 2: input should be less than or equal to 1",
        "wire.routes.0.listen: 'nowhere': an address is host:port",
        "wire.colour: unknown key; allowed: connection_bytes, connections,",
        "shadows.0.name: 'Not A Name'",
        "shadows.0.address: required, and not given",
        "telemetry.traces: 'sideways': input should be 'comparison', 'joined' or 'off'",
        "http.listen: 'nowhere'",
    ):
        assert said in errors
    assert len(refused.value.errors) == 7


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1, 2]", "top level must be a mapping, not list"),
        ("a: [", "not YAML"),
        ("a: 2023-99-99", "not YAML"),
        (f"a: {'9' * 5000}", "not YAML"),
        ("[" * 3000, "not YAML"),
        ("shadows: [{address: 'h:1'}, {address: 'h:2'}]", "name 'shadow' is used twice"),
        ("wire: {routes: [{listen: 'h:1', upstream: 'h:1'}]}", "forwards to itself"),
        ("shadows: [{address: 'h:1', tls: {cert: /no/such}}]", "cert and key go together"),
        ("shadows: [{address: 'h:1', tls: {ca: /no/such}}]", "no such file: /no/such"),
        ("match: {metadata: [{name: a, matches: '('}]}", "not a regular expression"),
        ("match: {metadata: [{name: a}]}", "exactly one of equals, matches, present"),
        ("compare: {descriptors: /no/such}", "no such file"),
        ("sample: {key: 'cookie'}", "sample.key"),
        ("pairs: {calls: 0}", "pairs.calls: 0: input should be greater than or equal to 1"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=says.replace("(", r"\(")):
        load(file, {})


def test_a_missing_file_and_a_wrong_flag_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "gone.yaml", {}, {"paused": "perhaps"})
    assert len(refused.value.errors) == 2


@pytest.mark.parametrize("text", ["2023-99-99", "[" * 3000])
def test_a_wrong_environment_variable_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a YAML value"):
        load(None, {"SHADOW_SIDECAR_SAMPLE": text})


def test_off_needs_no_quotes(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("telemetry: {traces: off}\nwire: {resync: off}")
    settings = load(file, {})
    assert (settings.telemetry.traces, settings.wire.resync) == ("off", "off")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        setattr(load(environ={}, flags=SHADOW), "paused", True)  # noqa: B010 (a checker would see it)


def test_a_value_is_put_at_a_path_of_keys_and_positions() -> None:
    tree: dict[str, Any] = {"shadows": [{"address": "h:1"}], "sample": 1}
    put(tree, ["shadows", "0", "breaker", "probes"], "5")
    put(tree, ["sample", "fraction"], "0.5")
    assert tree == {
        "shadows": [{"address": "h:1", "breaker": {"probes": 5}}],
        "sample": {"fraction": 0.5},
    }


def test_what_kubernetes_says_about_a_service_named_like_us_is_no_setting() -> None:
    links = {
        "SHADOW_SIDECAR_PORT": "tcp://10.0.0.1:443",
        "SHADOW_SIDECAR_SERVICE_HOST": "10.0.0.1",
        "SHADOW_SIDECAR_WEBHOOK_SERVICE_PORT": "443",
        "SHADOW_SIDECAR_WEBHOOK_SERVICE_PORT_HTTPS": "443",
        "SHADOW_SIDECAR_WEBHOOK_PORT_443_TCP": "tcp://10.0.0.1:443",
        "SHADOW_SIDECAR_WEBHOOK_PORT_443_TCP_ADDR": "10.0.0.1",
    }
    assert load(environ=links) == Settings()
    with pytest.raises(ConfigError, match="typo: unknown key"):
        load(environ={"SHADOW_SIDECAR_TYPO": "1"})
