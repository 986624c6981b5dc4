"""Farms and nodes in the form that clients of ThreeFold's grid proxy read.

What a registry without a chain cannot know (twins, contracts, rents) has the value of "none".
"""

import json
from collections.abc import Mapping
from typing import Any

from registry.views.search import AMOUNTS
from registry.views.shown import find_status
from registry.views.sums import Sums

STANDBY = "standby"
NO_CHAIN = {
    "twinId": 0,
    "farmingPolicyId": 0,
    "certificationType": "Diy",
    "dedicated": False,
    "inDedicatedFarm": False,
    "rentContractId": 0,
    "rentedByTwinId": 0,
    "rented": False,
    "rentable": False,
    "extraFee": 0,
    "price_usd": 0.0,
    "farm_free_ips": 0,
}
NO_CONFIG = {"domain": "", "gw4": "", "gw6": "", "ipv4": "", "ipv6": ""}


def show_farm(row: Any) -> dict[str, Any]:
    """Return a farm."""
    return {
        "name": row.name,
        "farmId": row.number,
        "twinId": 0,
        "pricingPolicyId": 0,
        "certificationType": "NotCertified",
        "stellarAddress": "",
        "dedicated": False,
        "publicIps": [],
    }


def show_listed(row: Any, now_s: float, interval_s: float) -> dict[str, Any]:
    """Return a node of a list."""
    return {**show_common(row, now_s, interval_s), **show_amounts(row._mapping)}


def show_node(row: Any, now_s: float, interval_s: float) -> dict[str, Any]:
    """Return one node: its amounts are a step deeper, and it has what a list leaves out."""
    said = json.loads(row.body)
    return {
        **show_common(row, now_s, interval_s),
        "capacity": show_amounts(row._mapping),
        "dmi": said.get("dmi"),
        "gpus": said.get("gpus", []),
    }


def show_common(row: Any, now_s: float, interval_s: float) -> dict[str, Any]:
    """Return what a node has in both forms."""
    status = name_status(row, now_s, interval_s)
    place = {name: row._mapping[name] for name in ("country", "city", "longitude", "latitude")}
    power = "Down" if status == STANDBY else "Up"
    return {
        "id": row.id,
        "nodeId": row.number,
        "farmId": row.farm,
        "farmName": row.farm_name,
        "country": row.country,
        "city": row.city,
        "gridVersion": 0,
        "uptime": int(row.uptime_s),
        "created": int(row.created_s),
        "updatedAt": int(row.at_s),
        "location": place,
        "publicConfig": NO_CONFIG,
        "status": status,
        "serialNumber": row.serial,
        "power": {"state": power, "target": power},
        "num_gpu": row.gpus,
        "healthy": status == "up" and not row.doubt,
        "features": [],
        **NO_CHAIN,
    }


def show_amounts(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what a node has, and what of it is in use."""
    return {
        "total_resources": {name: row[name] for name in AMOUNTS},
        "used_resources": {name: row[f"used_{name}"] for name in AMOUNTS},
    }


def name_status(row: Any, now_s: float, interval_s: float) -> str:
    """Return `up`, `down`, or `standby` for a node that was shut down by plan."""
    found = find_status(row.kind, row.at_s, now_s, interval_s)
    return STANDBY if found == "off" else found


def show_stats(sums: Sums) -> dict[str, Any]:
    """Return the sums."""
    return {
        "nodes": sums.nodes,
        "farms": sums.farms,
        "countries": len(sums.countries),
        **{f"total{name.capitalize()}": amount for name, amount in sums.amounts.items()},
        "publicIps": sums.ipv4u,
        "accessNodes": 0,
        "gateways": 0,
        "twins": 0,
        "contracts": 0,
        "nodesDistribution": sums.countries,
        "gpus": sums.gpus,
        "dedicatedNodes": 0,
        "workloads_number": 0,
    }
