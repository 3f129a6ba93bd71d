"""The registry: names, mistakes in names, the listing; all without Keras."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kmedtl.backbones import registry
from kmedtl.errors import UserError


def test_importing_the_registry_imports_no_framework():
    code = (
        "import sys, kmedtl.backbones.registry as r; r.describe();"
        "sys.exit(any(name in sys.modules for name in ('keras', 'tensorflow', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_are_unique_and_matched_by_globs():
    assert len(set(registry.names())) == len(registry.names())
    assert registry.names("EfficientNetLite*") == ["EfficientNetLite0", "EfficientNetLite1", "EfficientNetLite2"]
    assert registry.names("no such") == []


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"'ResNet5O'.*Did you mean 'ResNet50'\?"):
        registry.get("ResNet5O")


def test_description_says_where_weights_are(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    cached = tmp_path / "models" / registry.get("VGG16").weights_file
    cached.parent.mkdir()
    cached.touch()
    rows = {row["name"]: row for row in registry.describe()}
    assert list(rows) == registry.names()
    assert rows["VGG16"]["weights"] == "Keras cache"
    assert rows["VGG19"]["weights"] == "download"
    assert rows["EfficientNetLite0"]["weights"] == "pip package (installed)"
    assert rows["EfficientNetLite0"]["blocks"] == ("stem", *(f"block{n}" for n in range(1, 8)))
