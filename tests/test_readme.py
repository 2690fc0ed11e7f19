"""What the README shows is true: its configurations load, its commands exist, its links lead."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.settings.sources import load

HOUSE = Path(__file__).parent.parent
PAGES = [HOUSE / "README.md", HOUSE / "CONTRIBUTING.md", HOUSE / "k8s" / "README.md"]
README = PAGES[0].read_text(encoding="utf-8")
CONFIGURATIONS = re.findall(r"^```yaml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
COMMANDS = sorted(
    set(re.findall(r"^shadow-sidecar ([a-z-]+(?: (?:wanted|import))?)", README, re.M))
)


@pytest.mark.parametrize("text", CONFIGURATIONS, ids=["judge", "whole"])
def test_a_configuration_loads(text: str, tmp_path: Path) -> None:
    file = tmp_path / "readme.yaml"
    # Certificates are files, and those are the reader's.
    file.write_text(re.sub(r"^ *tls: .*\n", "", text, flags=re.MULTILINE), encoding="utf-8")
    load(file, {})


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_exists(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", *name.split(), "--help"], capture_output=True, timeout=60
    )
    assert done.returncode == 0


def test_the_two_commands_are_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (HOUSE / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets
    assert {"demo", "test"} <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOUSE)))
def test_a_link_leads_to_a_file(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
