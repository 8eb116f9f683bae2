"""The page for operators says what is so: its receiver takes our signatures, and no gate is left out."""

import re
from pathlib import Path
from typing import Any

from serve.night_config import GatesConfig, NightConfig
from serve.night_gates import BINDING
from serve.signature import sign, verify
from serve.webhook_config import WebhookConfig

PAGE = (Path(__file__).parent.parent / "docs" / "night.md").read_text(encoding="utf-8")
SECRET = "a secret of more than sixteen letters"


def test_the_receiver_of_the_page_takes_what_we_sign_and_nothing_else() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/night.md", "exec"), names)
    is_kinfolk, body, now = names["is_kinfolk"], b'{"events":[]}', int(names["time"].time())
    signed = sign(body, SECRET, now)
    assert is_kinfolk(signed, body, SECRET)
    assert verify(signed, body, SECRET)
    for header, given, secret in (
        (signed, body + b" ", SECRET),
        (signed, body, SECRET + "!"),
        (sign(body, SECRET, now - 1_000), body, SECRET),
        (signed.replace(str(now), str(now + 1)), body, SECRET),
        ("", body, SECRET),
        ("t=x,v1=y", body, SECRET),
    ):
        assert not is_kinfolk(header, given, secret)
        assert not verify(header, given, secret)


def test_every_gate_is_in_its_table() -> None:
    section = PAGE.split("## Gates")[1].split("\n## ")[0]
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert named == {*GatesConfig.model_fields, *BINDING}


def test_figures_of_settings_are_those_of_the_code() -> None:
    webhook = WebhookConfig(url="https://bank.example/")
    night = NightConfig()
    assert f"batches of up to {webhook.batch}" in PAGE
    assert f"`seconds` ({webhook.seconds:g})" in PAGE
    assert f"`budget_seconds` ({webhook.budget_seconds:g})" in PAGE
    assert webhook.tries == 5
    assert "five times in all" in PAGE
    assert f"`night.shift_z` ({night.shift_z:g})" in PAGE
    assert f"`night.keep` ({night.keep})" in PAGE
