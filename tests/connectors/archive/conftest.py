"""Small files as others write them."""

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]

DATA = Path(__file__).parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="recorded market data is not here")


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip("recorded market data is not here")
    return DATA


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write lines to a file, packed as its name says."""

    def make(name: str, *lines: str) -> Path:
        path = tmp_path / name
        text = "".join(f"{line}\n" for line in lines)
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(text.encode()))
        elif name.endswith(".zip"):
            with zipfile.ZipFile(path, "w") as packed:
                packed.writestr(name.replace(".zip", ".csv"), text)
        else:
            path.write_text(text)
        return path

    return make
