"""An environment as files that others read: a lock for pip, a conda environment, a Dockerfile; with equal pins."""

from __future__ import annotations

from collections.abc import Sequence

LOCK, CONDA, DOCKERFILE = "requirements.lock", "environment.yml", "Dockerfile"
COMMENT = "#"  # begins a pin that no installer can take


def heading(id: str, python: str, platform: str) -> str:
    """Return comments that say which environment a file holds, and where it was captured."""
    return f"# {id}\n# Python {python}{f' on {platform}' if platform else ''}\n"


def conda(name: str, python: str, pins: Sequence[str]) -> str:
    """Return a conda environment: Python from conda, the pins through pip; what pip can't take as comments."""
    import yaml

    taken = [pin for pin in pins if not pin.startswith(COMMENT)]
    content = {
        "name": name,
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": taken}],
    }
    return yaml.safe_dump(content, sort_keys=False) + "".join(f"{pin}\n" for pin in pins if pin not in taken)


def dockerfile(python: str, pins: Sequence[str]) -> str:
    """Return a Dockerfile that installs the pins and no more; what pip can't take as comments."""
    taken = [pin for pin in pins if not pin.startswith(COMMENT)]
    install = " \\\n".join(["RUN pip install --no-cache-dir --no-deps", *(f'    "{pin}"' for pin in taken)])
    lines = [f"FROM python:{python}-slim", *([install] if taken else []), *(pin for pin in pins if pin not in taken)]
    return "".join(f"{line}\n" for line in lines)
