"""The registry of `zos boot`: the node's farm is in it, with an owner that nobody knows."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI

from common.nodes.envelope import open_envelope, seal
from registry.app import create_app
from registry.farms.farms import FarmChange
from registry.names import show_key
from registry.settings import RegistrySettings
from registry.state.opening import make_folder
from registry.views.registry import make_lasting


def prepare_registry(folder: Path, farm: int) -> FastAPI:
    """Return the application of a new registry in `folder` that has one farm."""
    make_folder(folder)
    settings = RegistrySettings(state=folder)
    registry = make_lasting(settings)
    message = open_envelope(register_farm(farm), "farm")
    registry.scribe.write_now(registry.farms.accept, FarmChange(message))
    return create_app(registry)


def register_farm(farm: int) -> bytes:
    """Return the message that registers a farm with a new key."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    fields = {"farm": farm, "sequence": 1, "name": f"farm-{farm}", "owner": show_key(public)}
    return seal(key.sign, public, "farm", fields)
