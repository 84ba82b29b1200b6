"""What an operator reads after `up` and in `status`: addresses, containers, and what is left to do."""

from collections.abc import Iterator
from dataclasses import dataclass

from simpul_agreement.versions import State
from simpul_cli.agency.bulk import RESPONSE
from simpul_cli.deployment.city_files import CityFiles
from simpul_cli.deployment.files_setup import FilesSetup
from simpul_cli.languages import Message
from simpul_cli.languages import Message as _


@dataclass(frozen=True)
class Summary:
    """Addresses of a city and what is left to do, from its files."""

    setup: FilesSetup

    @property
    def _files(self) -> CityFiles:
        return self.setup.files

    def addresses(self) -> Iterator[Message]:
        """Yields where people and agencies find the city."""
        settings = self._files.settings()
        site, port = settings["SITE_HOST"], settings.get("HTTPS_PORT", "443").rpartition(":")[2]
        suffix = "" if port == "443" else f":{port}"
        yield _("public form      https://{site}/lapor", site=f"{site}{suffix}")
        yield _("desk             https://desk.{site}/", site=f"{site}{suffix}")
        yield _("routing's API    https://routing.{site}/docs", site=f"{site}{suffix}")
        yield _("agencies' broker {address}", address=settings["AGENCY_BROKER"])
        if self.setup.is_demo:
            yield _("handset          http://127.0.0.1:{port}/", port=settings.get("HANDSET_PORT", "8085"))

    def left_to_do(self) -> Iterator[Message]:
        """Yields what only people can do, the most urgent first."""
        yield _(
            "Invite the coordinator to the desk, if nobody has an account: `docker compose run --rm migrate-desk desk "
            "invite LOGIN --name NAME --agency {hub} --role coordinator`",
            hub=next(agency.code for agency in self._files.read_city().agencies if agency.kind == "hub"),
        )
        if self.setup.is_demo:
            yield _("Nothing else: every agency and person of a demonstration is invented.")
            return
        yield _("Back up {folder}: without its secrets no identity can be read again.", folder=self._files.data)
        if self._files.hub.keys.exists():
            yield _(
                "Give {folder} to the hub, and delete it here: it holds the hub's keys.", folder=self._files.hub.folder
            )
        yield from self._agreement()
        yield from self._agencies()
        if self._files.gateway_authority.exists():
            yield _("Browsers must trust {file}, or give a mail address for ACME.", file=self._files.gateway_authority)
        yield _("Replace the invented people in {file}.", file=self._files.city_dir / "roster.yaml")

    def _agreement(self) -> Iterator[Message]:
        deciding = [version for version in self.setup.versions() if version.decides]
        if deciding and deciding[-1].standing.state is State.INTERIM:
            version = deciding[-1]
            yield _(
                "The agreement {version} is INTERIM: `simpul agreement request {folder} --to FILE`, and put the "
                "signatures of these parties into {enrolment}: {parties}",
                version=version.folder.name,
                folder=version.folder,
                enrolment=self._files.enrolment,
                parties=", ".join(version.standing.unsigned_by),
            )

    def _agencies(self) -> Iterator[Message]:
        waiting = [request for request in self.setup.requests() if not request.is_enrolled]
        if waiting:
            yield _(
                "Compare fingerprints by phone and run `simpul agency enrol {folder}`: {agencies}",
                folder=self._files.enrolment,
                agencies=", ".join(request.agency for request in waiting),
            )
        responses = sorted(path.name for path in self._files.enrolment.glob(f"*{RESPONSE}"))
        if responses:
            yield _(
                "Give each agency its response in {folder} confidentially, then delete it: {files}",
                folder=self._files.enrolment,
                files=", ".join(responses),
            )
        city, directory = self._files.read_city(), self._files.read_directory()
        missing = city.agency_codes - {entry.party for entry in directory.entries}
        if missing:
            yield _(
                "{count} agencies have not sent an enrolment request to {folder} yet.",
                count=len(missing),
                folder=self._files.enrolment,
            )
