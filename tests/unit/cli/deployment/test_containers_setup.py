"""Jobs and checks come first; when one fails, no container of a service is touched."""

import json
import subprocess
import time
from typing import Any

import pytest

from simpul_cli.broker_users import USERS
from simpul_cli.deployment.city_files import CityFiles
from simpul_cli.deployment.compose import Compose, explain_failure
from simpul_cli.deployment.containers_setup import REPLACED
from simpul_cli.deployment.refusal import Refusal
from simpul_schema.catalog import SERVICES
from tests.unit.cli.deployment.conftest import FakeDocker, Killed, containers_of

JOBS = ("topology", *(f"migrate-{service}" for service in SERVICES))


def run_steps(files: CityFiles, docker: FakeDocker, **options: Any) -> None:
    setup = containers_of(files, docker, **options)
    for step in (*setup.before(), *setup.steps()):
        step.run()


def test_servers_jobs_and_checks_run_before_services_are_replaced_one_after_another(prepared: CityFiles) -> None:
    docker = FakeDocker()
    run_steps(prepared, docker)
    docker.commands.clear()

    run_steps(prepared, docker)

    first_replaced = docker.commands.index(f"up --detach --no-build --no-deps {REPLACED[0]}")
    jobs = [position for position, command in enumerate(docker.commands) if command.startswith("run ")]
    assert len(jobs) == len(JOBS) + 1 + len(REPLACED)
    assert max(jobs) < first_replaced
    assert docker.replaced() == ["rabbitmq", "notify", "desk", "routing", "intake", "reconcile", "gateway"]
    assert not any(command.startswith("build") for command in docker.commands)
    # A certificate by ACME needs no authority of the gateway's own.
    assert not prepared.gateway_authority.exists()


@pytest.mark.parametrize("failing", [*JOBS, "operator agency connect", "SIMPUL_CHECK_ONLY=true intake", "psql"])
def test_a_failing_job_is_one_sentence_and_the_old_services_run_on(prepared: CityFiles, failing: str) -> None:
    sentence = "the database at postgres:5432 refuses the login; check the user and the password"
    docker = FakeDocker(failing={failing: f" Container simpul-job Creating\n{sentence}\n"})
    docker.started |= dict.fromkeys((*REPLACED, "gateway"), "healthy")

    with pytest.raises(Refusal) as refused:
        run_steps(prepared, docker)

    assert str(refused.value) == sentence
    assert not {*REPLACED, "gateway"} & set(docker.replaced())
    assert not any(command.split()[0] in ("down", "stop", "rm", "restart") for command in docker.commands)


def test_an_update_that_is_killed_at_any_command_is_completed_by_the_next_one(prepared: CityFiles) -> None:
    run_steps(prepared, FakeDocker())
    complete = FakeDocker(started=dict.fromkeys((*REPLACED, "gateway"), "healthy"))
    run_steps(prepared, complete)
    last_job = max(place for place, command in enumerate(complete.commands) if command.startswith("run "))

    for last in range(len(complete.commands)):
        docker = FakeDocker(started=dict.fromkeys((*REPLACED, "gateway"), "healthy"), killed_after=last)
        with pytest.raises(Killed):
            run_steps(prepared, docker)
        # What ran before the update still runs until every job and every check has ended.
        assert last > last_job or not {*REPLACED, "gateway"} & set(docker.replaced())
        assert not any(command.split()[0] in ("down", "stop", "rm", "restart") for command in docker.commands)
        docker.killed_after = None
        docker.commands.clear()
        run_steps(prepared, docker)
        assert docker.replaced() == complete.replaced()


def test_the_servers_get_the_passwords_of_the_settings_and_no_command_shows_them(prepared: CityFiles) -> None:
    docker, settings = FakeDocker(), prepared.settings()

    run_steps(prepared, docker)

    passwords = [value for name, value in settings.items() if "PASSWORD" in name and name.startswith(("POST", "RABB"))]
    # The job that declares the topology reads those of the broker's users from its environment.
    of_users = [settings[f"RABBITMQ_PASSWORD_{name.upper()}"] for name in USERS]
    given = "\n".join(docker.inputs)
    assert len(passwords) == 6 + len(of_users)
    assert all(password in given for password in passwords if password not in of_users)
    assert not any(password in command for password in passwords for command in docker.commands)


def test_alarms_and_dashboards_start_with_their_profile_and_an_address_for_alarms(prepared: CityFiles) -> None:
    docker = FakeDocker()
    with prepared.env.open("a") as settings:
        settings.write("COMPOSE_PROFILES=observe\n")
    with pytest.raises(Refusal, match="OPERATIONS_MAIL"):
        run_steps(prepared, FakeDocker())
    with prepared.env.open("a") as settings:
        settings.write("OPERATIONS_MAIL=operations@kota.example\n")

    run_steps(prepared, docker)

    assert "up --detach --no-build --no-deps prometheus alertmanager grafana" in docker.commands


def test_images_are_built_when_one_is_missing_or_the_sources_have_changed(prepared: CityFiles) -> None:
    docker = FakeDocker(images={"intake", "cli"})
    source = prepared.checkout / "shared" / "schema" / "module.py"
    source.parent.mkdir(parents=True)
    builds = []

    def count_builds() -> None:
        docker.commands.clear()
        run_steps(prepared, docker)
        builds.append(docker.commands.count("build"))

    count_builds()
    docker.images |= {*SERVICES}
    count_builds()
    source.write_text("changed = True")
    count_builds()
    count_builds()

    assert builds == [1, 0, 1, 0]


def test_containers_restart_one_after_another_and_what_the_others_need_first(prepared: CityFiles) -> None:
    docker, reported = FakeDocker(), []
    docker.started = dict.fromkeys(("gateway", "intake", "postgres"), "healthy")

    containers_of(prepared, docker).restart((), lambda message: reported.append(str(message)))

    restarted = [command.split()[-1] for command in docker.commands if command.startswith("restart ")]
    assert restarted == ["postgres-1", "postgres-2", "intake-1", "intake-2", "gateway-1", "gateway-2"]
    assert reported == ["postgres: healthy", "intake: healthy", "gateway: healthy"]


def test_one_check_ends_before_others_start_because_it_creates_the_networks(prepared: CityFiles) -> None:
    docker, seen = FakeDocker(), []
    real = docker.run

    def run(command: Any, **options: Any) -> "subprocess.CompletedProcess[str]":
        if "SIMPUL_CHECK_ONLY=true" not in " ".join(command):
            return real(command, **options)
        seen.append("start")
        time.sleep(0.05)
        seen.append("end")
        return real(command, **options)

    setup = containers_of(prepared, docker)
    setup.compose.__dict__["run_program"] = run
    setup.check_services()

    assert seen[:2] == ["start", "end"]
    assert seen.count("end") == len(REPLACED)


def test_a_service_that_never_becomes_healthy_is_named_with_its_last_line(prepared: CityFiles) -> None:
    docker = FakeDocker()
    real = docker.run

    def run(command: Any, **options: Any) -> "subprocess.CompletedProcess[str]":
        done = real(command, **options)
        if "notify" in docker.started:
            docker.started["notify"] = "starting"
        return done

    setup = containers_of(prepared, docker)
    setup.compose.__dict__["run_program"] = run

    with pytest.raises(Refusal, match="notify is not healthy after 300 s; it logged last: the last line"):
        setup.replace_services()


@pytest.mark.parametrize(
    ("printed", "sentence"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock", "Docker does not answer"),
        ("Bind for 0.0.0.0:443 failed: port is already allocated", "A port is in use"),
        ("write /var/lib/docker/tmp: no space left on device", "The disk is full"),
        ("permission denied while trying to connect to the Docker daemon socket", "This account may not use Docker"),
        (
            "error while interpolating x-amqp: required variable RABBITMQ_PASSWORD_OPERATOR is missing a value: run",
            "A password is missing in .env",
        ),
        ("noise\nintake: the database has no tables: run `simpul migrate intake`\n", "intake: the database has no"),
    ],
)
def test_a_failure_of_docker_is_one_sentence(printed: str, sentence: str) -> None:
    found = str(explain_failure(printed))

    assert found.startswith(sentence)
    assert "\n" not in found


def test_a_machine_without_docker_shows_what_to_install(files: CityFiles) -> None:
    def run(*_: Any, **__: Any) -> "subprocess.CompletedProcess[str]":
        raise FileNotFoundError

    with pytest.raises(Refusal, match="Docker is not installed"):
        Compose(files.checkout, files.env, run, {}).docker("version")


def test_of_several_containers_of_a_service_the_worst_counts(files: CityFiles) -> None:
    rows = [
        {"Service": "intake", "State": "running", "Health": health, "ExitCode": 0} for health in ("starting", "healthy")
    ]

    def run(command: Any, **_: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.CompletedProcess(command, 0, "\n".join(map(json.dumps, rows)), "")

    found = Compose(files.checkout, files.env, run, {}).containers()["intake"]

    assert (found.count, found.is_up) == (2, False)
