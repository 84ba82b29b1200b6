"""`agreement.yaml`: the version, its parties, hours and holidays."""

from typing import Annotated

from pydantic import AfterValidator, Field

from simpul_agreement.facts import AgencyKind, TimeBand
from simpul_agreement.files.values import TIME_OF_DAY, Day, Moment, TimeOfDay, Written, WrittenSource, WrittenText
from simpul_agreement.model import Signatory
from simpul_schema.translations import gettext_noop
from simpul_schema.vocabulary import Service


def _weekdays(text: str) -> str:
    known = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    parts = text.split("-")
    if len(parts) > 2 or any(part not in known for part in parts) or sorted(parts, key=known.index) != parts:
        msg = gettext_noop("write one weekday, or a range that starts with the earlier day, such as monday-friday")
        raise ValueError(msg)
    return text


class WrittenBand(Written):
    """Hours of the week."""

    band: TimeBand
    days: Annotated[str, AfterValidator(_weekdays)]
    start: TimeOfDay = Field(alias="from", pattern=TIME_OF_DAY)
    end: TimeOfDay = Field(alias="until", pattern=TIME_OF_DAY, description="00:00 is midnight")


class WrittenSignatory(Written):
    """Who signs for a party."""

    entity: WrittenText = Field(description="the legal entity")
    office: WrittenText = Field(description="the office that the person holds")
    authority: WrittenText = Field(description="the law, charter or power of attorney by which the person signs")
    person: str = Field(default="", description="name of the person; empty until it is known")
    address: str = Field(default="", description="seat of the entity")

    def to_signatory(self) -> Signatory:
        """The plain data of the domain."""
        return Signatory(
            self.entity.to_text(), self.office.to_text(), self.authority.to_text(), self.person, self.address
        )


class WrittenParty(Written):
    """A party and what it promises."""

    party: str = Field(description="code of an agency, or satgas_of_residence, kecamatan_of_residence")
    kind: AgencyKind | None = Field(
        default=None, description="omitted for a party that is only informed and takes no referrals"
    )
    name: WrittenText
    mandate: WrittenText
    area: WrittenText
    services: list[Service] = Field(default_factory=list, description="services that it can lead")
    open_in: list[TimeBand] = Field(default_factory=list, description="when its office is open")
    duty_in: list[TimeBand] = Field(
        default_factory=list, description="when its duty contact can be reached outside office hours"
    )
    above: str = Field(default="", description="the party at the next escalation level; empty at the top")
    part_of: str = Field(default="", description="the party that it belongs to and with which it is excluded")
    signs: bool = Field(default=True, description="whether the agreement requires its signature")
    signatory: WrittenSignatory | None = Field(default=None, description="for a party that signs")
    valid_from: Day | None = None
    valid_until: Day | None = None


class AgreementFile(Written):
    """`agreement.yaml`."""

    version: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$", description="year and month; the folder's name")
    title: WrittenText
    active_from: Moment = Field(description="with its zone; new cases follow this version from then on")
    valid_until: Day | None = Field(default=None, description="the last day that the document states")
    number: str = Field(default="", description="number of the document; empty until the city gives it")
    hub: str = Field(description="the party that takes what no rule assigns")
    bands: list[WrittenBand] = Field(min_length=1)
    holidays: list[Day] = Field(default_factory=list)
    holidays_source: WrittenSource | None = Field(default=None, description="the decree that lists the holidays")
    parties: list[WrittenParty] = Field(min_length=1)
