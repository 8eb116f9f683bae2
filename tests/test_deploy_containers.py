"""The examples for containers: the image is built of what is there, and pods call what there is."""

import json
import re
from typing import Any

import pytest
import yaml
from test_deploy import DEPLOY, ENVIRONMENT, REPOSITORY, check_call

from serve.routes import health


def instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    found = [line.split(None, 1) for line in lines if line.strip()]
    return [(name, rest.strip()) for name, rest in found]


def test_the_image_copies_what_is_there_and_all_of_it() -> None:
    copied = {
        source
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    for source in copied:
        assert (REPOSITORY / source).exists(), source
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    packages = re.search(r"^packages = \[(.*)\]$", project, re.MULTILINE)
    assert packages is not None
    assert set(re.findall(r'"(\w+)"', packages[1])) <= copied
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied


def test_the_image_is_small_pinned_and_runs_as_nobody_in_particular() -> None:
    found = instructions()
    stages = [rest for name, rest in found if name == "FROM"]
    assert len(stages) == 2
    assert all(re.match(r"python:3\.\d+-slim-\w+", stage) for stage in stages)
    runs = [rest for name, rest in found if name == "RUN"]
    torch = next(i for i, run in enumerate(runs) if "torch" in run)
    assert "https://download.pytorch.org/whl/cpu" in runs[torch]
    assert "constraints.txt" in runs[torch]
    (whole,) = [i for i, run in enumerate(runs) if '".[' in run]
    assert torch < whole, "torch has to be there before pip looks for it elsewhere"
    assert "--constraint constraints.txt" in runs[whole]
    assert re.search(r"^torch==", (REPOSITORY / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    for run in runs:
        assert "apt-get install" not in run or ("--no-install-recommends" in run and "rm -rf /var/lib/apt/lists" in run)
        assert "sudo" not in run
    last = next(i for i, (name, _) in enumerate(found) if name == "FROM" and i)
    users = [rest for name, rest in found[last:] if name == "USER"]
    assert users
    assert all(re.fullmatch(r"[1-9]\d+:[1-9]\d+", user) for user in users)
    assert not any(name == "ADD" for name, _ in found)


def test_the_image_calls_what_the_command_line_has_and_asks_a_route_that_exists() -> None:
    found = dict(instructions())
    assert json.loads(found["ENTRYPOINT"]) == ["kinfolk"]
    check_call(json.loads(found["CMD"]))
    _, check = found["HEALTHCHECK"].split("CMD", 1)
    words = json.loads(check)
    compile(words[2], "healthcheck", "exec")
    (route,) = re.findall(r"127\.0\.0\.1:8000(/\w+)", words[2])
    assert route in routes()
    assert f"EXPOSE {found['EXPOSE']}" == "EXPOSE 8000"


def routes() -> set[str]:
    return {str(getattr(route, "path", "")) for route in health.router.routes}


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text(encoding="utf-8")))


def pods() -> list[dict[str, Any]]:
    (job,) = documents("nightly.yaml")
    deployment = next(body for body in documents("service.yaml") if body["kind"] == "Deployment")
    return [job["spec"]["jobTemplate"]["spec"]["template"], deployment["spec"]["template"]]


def test_the_cron_job_is_alone_gives_up_on_what_people_have_to_mend_and_is_bounded() -> None:
    (job,) = documents("nightly.yaml")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    spec = job["spec"]
    assert (spec["concurrencyPolicy"], spec["timeZone"], spec["schedule"]) == ("Forbid", "Etc/UTC", "0 2 * * *")
    inner = spec["jobTemplate"]["spec"]
    assert inner["template"]["spec"]["restartPolicy"] == "Never"
    assert 1 <= inner["backoffLimit"] <= 10
    assert inner["activeDeadlineSeconds"] <= 86_400
    fail = next(rule for rule in inner["podFailurePolicy"]["rules"] if rule["action"] == "FailJob")
    assert fail["onExitCodes"]["values"] == [2, 3]
    assert fail["onExitCodes"]["containerName"] == inner["template"]["spec"]["containers"][0]["name"]


def bucket_pods() -> list[dict[str, Any]]:
    job, deployment = (body for body in documents("bucket.yaml") if body["kind"] in ("CronJob", "Deployment"))
    return [job["spec"]["jobTemplate"]["spec"]["template"], deployment["spec"]["template"]]


@pytest.mark.parametrize("pod", [*pods(), *bucket_pods()], ids=["nightly", "serve", "bucket nightly", "bucket serve"])
def test_pods_may_do_nothing_but_their_work(pod: dict[str, Any]) -> None:
    spec = pod["spec"]
    context, (container,) = spec["securityContext"], spec["containers"]
    assert context["runAsNonRoot"] is True
    image_user = next(rest for name, rest in reversed(instructions()) if name == "USER")
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == image_user
    assert context["fsGroup"] == context["runAsGroup"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} <= set(container["resources"])
    assert not container["image"].endswith(":latest")
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounted) == {volume["name"] for volume in spec["volumes"]}
    variables = {item["name"]: item.get("value") for item in container["env"]}
    assert set(variables) <= ENVIRONMENT
    # nothing else can be written
    place = "KINFOLK_MIRROR" if "KINFOLK_MIRROR" in variables else "KINFOLK_WORKSPACE"
    assert str(variables[place]).startswith(mounted["kinfolk"] + "/")
    assert mounted["tmp"] == "/tmp"
    check_call(container["args"])


def test_the_service_is_asked_at_its_own_routes_and_found_by_its_labels() -> None:
    claim, deployment, service = documents("service.yaml")
    assert [body["kind"] for body in (claim, deployment, service)] == ["PersistentVolumeClaim", "Deployment", "Service"]
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {probe["path"] for probe in probes.values()} == {"/livez", "/readyz"} <= routes()
    assert probes["readiness"]["path"] == "/readyz"
    (port,) = container["ports"]
    assert all(probe["port"] == port["name"] for probe in probes.values())
    assert str(port["containerPort"]) in container["args"]
    labels = pod["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for one in pods()
        for volume in one["spec"]["volumes"]
        if volume["name"] == "kinfolk"
    ]
    assert claims == [claim["metadata"]["name"]] * 2
    # a volume that one node can mount: the night has to come to the service
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    (term,) = pods()[0]["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["labelSelector"]["matchLabels"].items() <= labels.items()


def test_over_a_bucket_the_same_runs_and_what_it_names_is_there() -> None:
    account, claim, job, deployment, service = documents("bucket.yaml")
    assert service == documents("service.yaml")[2]
    assert (
        job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]
        == (documents("nightly.yaml")[0]["spec"]["jobTemplate"]["spec"]["podFailurePolicy"])
    )
    for pod in bucket_pods():
        assert pod["spec"]["serviceAccountName"] == account["metadata"]["name"]
        variables = {item["name"]: item for item in pod["spec"]["containers"][0]["env"]}
        assert variables["KINFOLK_WORKSPACE"]["value"].startswith("s3://")
        assert "secretKeyRef" in variables["KINFOLK_CATALOGUE"]["valueFrom"]  # several replicas write notes there
    volumes = {volume["name"]: volume for volume in bucket_pods()[0]["spec"]["volumes"]}
    assert volumes["kinfolk"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert deployment["spec"]["replicas"] > 1
    assert "[postgres,s3]" in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
