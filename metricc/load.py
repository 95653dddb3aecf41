"""Source text → imported module, from a real file, which tracebacks, `inspect` and pdb show."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Where the sources of this process's losses stand; removed when it ends."""
    return tempfile.TemporaryDirectory(prefix="metricc-")


def load(source: str, name: str) -> ModuleType:
    """Import `source` as a module, once per text.

    The module's name is `metricc_generated_<name>_<digest>`, so that classes of different
    texts never meet and a pickle finds its class again in the same process.
    """
    digest = hashlib.sha256(source.encode("utf-8")).hexdigest()[:16]
    module_name = f"metricc_generated_{name}_{digest}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    path = Path(_folder().name) / f"{module_name}.py"
    path.write_text(source, encoding="utf-8")
    return load_file(path, module_name)


def load_file(path: Path, module_name: str) -> ModuleType:
    """Import the file at `path` as `module_name`. Raises what the file itself raises."""
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module
