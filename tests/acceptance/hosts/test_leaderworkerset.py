"""docs/serving/kubernetes/leaderworkerset.yaml: consistent, restricted, and with options that the programs have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

from runtime.options import domain_of

ROOT: Final = Path(__file__).parents[3]
MANIFEST: Final = ROOT / "docs" / "serving" / "kubernetes" / "leaderworkerset.yaml"
USAGE: Final = ROOT / "runtime" / "shim" / "worker" / "worker_options.cpp"


def objects() -> dict[str, dict[str, Any]]:
    """The objects by their kinds."""
    return {one["kind"]: one for one in yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8"))}


def templates() -> tuple[dict[str, Any], dict[str, Any]]:
    """The pods of the leader and of a worker."""
    group = objects()["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]
    return group["leaderTemplate"], group["workerTemplate"]


def container(template: dict[str, Any]) -> dict[str, Any]:
    """The only container of a pod."""
    (found,) = template["spec"]["containers"]
    return dict(found)


def test_both_roles_have_one_image_and_the_restricted_profile() -> None:
    leader, worker = templates()
    assert container(leader)["image"] == container(worker)["image"]
    for template in (leader, worker):
        assert template["spec"]["securityContext"]["runAsNonRoot"] is True
        assert template["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        context = container(template)["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_the_programs_have_the_options() -> None:
    leader, worker = templates()
    options = {word.partition("=")[0] for word in container(leader)["args"] if word.startswith("-")}
    assert {name for name in options if domain_of(name) is None} == set()
    usage = USAGE.read_text(encoding="utf-8")
    words = container(worker)["args"]
    assert [word for word in words if word.startswith("-") and f'"{word}"' not in usage] == []
    assert container(worker)["command"] == ["/usr/bin/llamafile-rpc-server"]


def test_the_leader_names_each_worker_of_its_group() -> None:
    group = objects()["LeaderWorkerSet"]
    leader, worker = templates()
    words = container(leader)["args"]
    named = words[words.index("--rpc") + 1].split(",")
    variables = {one["name"]: one.get("value", "") for one in container(leader)["env"]}
    port = container(worker)["ports"][0]["containerPort"]
    assert len(named) == group["spec"]["leaderWorkerTemplate"]["size"] - 1
    for number, address in enumerate(named, 1):
        match = re.fullmatch(r"\$\((\w+)\):(\d+)", address)
        assert match
        assert int(match[2]) == port
        assert variables[match[1]] == f"$(POD_NAME)-{number}.{group['metadata']['name']}"


def test_only_the_leader_may_connect_to_workers() -> None:
    policy = objects()["NetworkPolicy"]["spec"]
    leader, worker = templates()
    assert policy["podSelector"]["matchLabels"] == worker["metadata"]["labels"]
    (rule,) = policy["ingress"]
    assert [one["podSelector"]["matchLabels"] for one in rule["from"]] == [leader["metadata"]["labels"]]
    assert rule["ports"] == [{"protocol": "TCP", "port": container(worker)["ports"][0]["containerPort"]}]
    assert policy["egress"] == []
