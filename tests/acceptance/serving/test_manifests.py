"""The files of docs/serving/: valid for Kubernetes and compose, consistent, and true of the server."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from runtime.options import domain_of, value_refusal
from tests.acceptance.api.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVING: Final = Path(__file__).parents[3] / "docs" / "serving"
MANIFESTS: Final = sorted((SERVING / "kubernetes").glob("*.yaml"))
# The first version whose API has all of it without a feature gate, and the newest that the schemas are for.
VERSIONS: Final = ("1.36", "1.37")
# Of other makers, or for another program: not in Kubernetes' schemas.
FOREIGN: Final = ("monitoring.coreos.com/", "leaderworkerset.x-k8s.io/", "kustomize.config.k8s.io/")
DEPLOYMENTS: Final = ("deployment.yaml", "deployment-image-volume.yaml")


def objects(path: Path) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(path.read_text(encoding="utf-8")) if found]


@cache
def native_objects() -> list[tuple[str, dict[str, Any]]]:
    """The objects of Kubernetes' own kinds, each with the name of its file."""
    found = [(path.name, one) for path in MANIFESTS for one in objects(path) if "apiVersion" in one]
    return [(name, one) for name, one in found if not one["apiVersion"].startswith(FOREIGN)]


def only(name: str) -> dict[str, Any]:
    (found,) = objects(SERVING / "kubernetes" / name)
    return found


def validate(resource: dict[str, Any], version: str) -> None:
    import kubernetes_validate

    kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_objects_have_kubernetes_schema(version: str) -> None:
    kinds = {resource["kind"] for _, resource in native_objects()}
    expected = {"Deployment", "Service", "NetworkPolicy", "HorizontalPodAutoscaler", "PodDisruptionBudget"}
    assert expected <= kinds
    for _, resource in native_objects():
        validate(resource, version)


@pytest.mark.parametrize(("field", "value"), [("terminationGracePeriod", 3), ("automountServiceAccountToken", "no")])
def test_the_schema_notices_a_mistake(field: str, value: object) -> None:
    from kubernetes_validate import ValidationError

    deployment = only("deployment.yaml")
    deployment["spec"]["template"]["spec"][field] = value
    with pytest.raises(ValidationError):
        validate(deployment, VERSIONS[0])


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in native_objects():
        if "template" in resource.get("spec", {}):
            yield name, resource["spec"]["template"]


def test_the_pods_have_the_restricted_profile() -> None:
    """Pod Security Standards, profile `restricted`: the rules that the pods can break."""
    for name, template in pods():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["securityContext"]["runAsUser"] == 65532, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
        assert all(set(volume) - {"name"} <= {"image", "configMap", "secret"} for volume in pod.get("volumes", []))
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert context["readOnlyRootFilesystem"] is True, name  # beyond the profile
            assert not any("hostPort" in port for port in container["ports"]), name


def options(container: dict[str, Any]) -> dict[str, str]:
    """The options of its server, with their values."""
    return {name: value for name, _, value in (word.partition("=") for word in container["args"])}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_pod_has_time_to_finish_its_answers(name: str) -> None:
    pod = only(name)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert before > 0
    assert before + int(options(container)["--shutdown-seconds"]) + 2 < pod["terminationGracePeriodSeconds"]


def test_other_managers_leave_that_time_too() -> None:
    compose = yaml.safe_load((SERVING / "compose.yaml").read_text(encoding="utf-8"))["services"]["model"]
    limit = int(dict(word.split("=") for word in compose["command"] if "=" in word)["--shutdown-seconds"])
    assert limit + 2 < int(compose["stop_grace_period"].removesuffix("s"))


def test_the_arguments_are_those_of_a_llamafile() -> None:
    compose = yaml.safe_load((SERVING / "compose.yaml").read_text(encoding="utf-8"))["services"]["model"]
    deployed = [only(name)["spec"]["template"]["spec"]["containers"][0]["args"] for name in DEPLOYMENTS]
    for words in [compose["command"], *deployed]:
        for word in words:
            name, _, value = word.partition("=")
            assert domain_of(name) is not None, word
            assert (domain_of(name) == "switch") == (value == ""), word
            assert value_refusal(name, [value] if value else []) is None, word


def test_the_objects_find_each_other() -> None:
    deployment, service = only("deployment.yaml"), only("service.yaml")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": int(options(container)["--port"])}
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels
    assert service["spec"]["selector"].items() <= labels
    assert service["spec"]["ports"][0]["targetPort"] in ports
    for name in ("networkpolicy.yaml", "poddisruptionbudget.yaml"):
        spec = only(name)["spec"]
        assert (spec.get("podSelector") or spec["selector"])["matchLabels"].items() <= labels
    scaled = only("horizontalpodautoscaler.yaml")["spec"]["scaleTargetRef"]
    assert scaled == {
        "apiVersion": deployment["apiVersion"], "kind": "Deployment", "name": deployment["metadata"]["name"]
    }  # fmt: skip  # short enough
    assert "replicas" not in deployment["spec"]  # each update would undo what the autoscaler does
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    assert probes == [{"path": "/health", "port": "http"}] * 3
    monitor = only("servicemonitor.yaml")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [endpoint["port"] for endpoint in monitor["endpoints"]] == [
        port["name"] for port in service["spec"]["ports"]
    ]
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["http"])


def test_the_kustomization_has_files_that_exist() -> None:
    kustomization = only("kustomization.yaml")
    assert all((SERVING / "kubernetes" / name).is_file() for name in kustomization["resources"])
    image = only("deployment.yaml")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert [f"{one['name']}:{one['newTag']}" for one in kustomization["images"]] == [image]


def test_the_variant_differs_in_its_model_only() -> None:
    plain, variant = (only(name)["spec"]["template"]["spec"] for name in DEPLOYMENTS)
    (volume,) = variant.pop("volumes")
    assert volume["image"]["reference"] == plain["containers"][0]["image"]
    (mount,) = variant["containers"][0].pop("volumeMounts")
    assert (mount["name"], mount["readOnly"]) == (volume["name"], True)
    (model,) = [word for word in variant["containers"][0]["args"] if word.startswith("--model=")]
    assert model.startswith(f"--model={mount['mountPath']}/models/")  # where `apepack oci` puts the weights
    variant["containers"][0]["args"].remove(model)
    variant["containers"][0]["image"] = plain["containers"][0]["image"]
    assert variant == plain


def test_the_autoscaler_uses_what_the_server_exports(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    metric = only("horizontalpodautoscaler.yaml")["spec"]["metrics"][0]["pods"]["metric"]["name"]
    (rule,) = yaml.safe_load((SERVING / "kubernetes" / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    assert rule["name"]["as"] == metric
    names = [f"llamacpp:requests_{state}" for state in ("processing", "deferred")]
    assert all(name in rule["metricsQuery"] for name in names)
    assert names[0] in rule["seriesQuery"]
    with serving([program, "-m", tiny_model, "--nobrowser", "--metrics"], tmp_path / "log") as server:
        status, text = server.ask("/metrics")
        assert status == 200
        assert {line.split()[0] for line in text.splitlines() if not line.startswith("#")} >= set(names)


def test_the_compose_file_is_valid() -> None:
    from compose_spec import PyCompose

    text = (SERVING / "compose.yaml").read_text(encoding="utf-8")
    PyCompose.from_yaml(text).validate()
    with pytest.raises(ValueError, match="stop_grace"):
        PyCompose.from_yaml(text.replace("stop_grace_period", "stop_grace"))
