"""The enumerations of the contract, each value with its labels: Bahasa Indonesia first, English second.

An enumeration with a fallback is extensible: a later version may add values, and a reader that does not know a value
takes it for the fallback. All others are closed.
"""

import enum
from typing import Any, ClassVar, Final

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

RECEIVED: Final = object()
"""Validation context of values that another party wrote; see `ContractModel.read`."""
OUTSIDE_CITY: Final = "outside"
"""Stands where a kelurahan or kecamatan is named, for one that is known to lie outside the city."""


class Term(str, enum.Enum):
    """A wire code with its two labels."""

    id_label: str
    en_label: str
    fallback_code: ClassVar[str]
    """The code that a reader takes an unknown one for; empty for a closed enumeration."""

    def __init_subclass__(cls, *, fallback: str = "", **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.fallback_code = fallback

    def __new__(cls, code: str, id_label: str = "", en_label: str = "") -> "Term":
        """A member with its labels; a lookup by code alone finds the member that has them."""
        term = str.__new__(cls, code)
        term._value_ = code
        term.id_label = id_label
        term.en_label = en_label
        return term

    def __str__(self) -> str:
        return str(self.value)

    def label(self, language: str) -> str:
        """The text that people read; `language` is `id` or `en`."""
        return self.en_label if language == "en" else self.id_label

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validates as any enumeration does, and replaces unknown values in what another party wrote."""
        if not cls.fallback_code:
            return handler(source)
        return core_schema.with_info_before_validator_function(
            cls._replace_unknown,
            core_schema.enum_schema(cls, list(cls), sub_type="str"),
            ref=f"{cls.__module__}.{cls.__qualname__}:{id(cls)}",
        )

    @classmethod
    def _replace_unknown(cls, value: Any, info: ValidationInfo) -> Any:
        if info.context is RECEIVED and isinstance(value, str) and value not in cls._value2member_map_:
            return cls.fallback_code
        return value


class Violence(Term, fallback="unknown"):
    """Kinds of violence, the seven of SIMFONI PPA, and `unknown` at intake."""

    # Not known yet is the fallback, because a person then finds out what happened (rule R9).
    PHYSICAL = "physical", "Fisik", "Physical"
    PSYCHOLOGICAL = "psychological", "Psikis", "Psychological"
    SEXUAL = "sexual", "Seksual", "Sexual"
    EXPLOITATION = "exploitation", "Eksploitasi", "Exploitation"
    TRAFFICKING = "trafficking", "Perdagangan orang", "Trafficking"
    NEGLECT = "neglect", "Penelantaran", "Neglect"
    OTHER = "other", "Lainnya", "Other"
    UNKNOWN = "unknown", "Belum diketahui", "Not known yet"


class Channel(Term):
    """How the report came in."""

    WALK_IN = "walk_in", "Datang langsung", "Came in person"
    PHONE = "phone", "Telepon", "Phone"
    WHATSAPP = "whatsapp", "WhatsApp", "WhatsApp"
    SMS = "sms", "SMS", "SMS"
    LETTER_EMAIL = "letter_email", "Surat atau e-mail", "Letter or e-mail"
    SATGAS = "satgas", "Satgas PPA", "Task force"
    SCHOOL = "school", "Sekolah", "School"
    POLICE = "police", "Kepolisian", "Police"
    INCOMING_REFERRAL = "incoming_referral", "Rujukan masuk", "Incoming referral"
    OUTREACH = "outreach", "Penjangkauan", "Outreach"
    SAPA129 = "sapa129", "SAPA 129", "SAPA 129"
    WEB_FORM = "web_form", "Formulir daring", "Web form"


class Reporter(Term):
    """Who reports."""

    VICTIM = "victim", "Anak itu sendiri", "The child"
    FAMILY = "family", "Keluarga", "Family"
    NEIGHBOUR = "neighbour", "Tetangga", "Neighbour"
    TEACHER = "teacher", "Guru", "Teacher"
    SATGAS = "satgas", "Satgas PPA", "Task force"
    HEALTH_WORKER = "health_worker", "Tenaga kesehatan", "Health worker"
    POLICE = "police", "Polisi", "Police"
    ANONYMOUS = "anonymous", "Tidak menyebut nama", "Anonymous"
    OTHER = "other", "Lainnya", "Other"


class Place(Term):
    """Where it happened."""

    HOUSEHOLD = "household", "Rumah tangga", "Household"
    WORKPLACE = "workplace", "Tempat kerja", "Workplace"
    SCHOOL = "school", "Sekolah", "School"
    PUBLIC_FACILITY = "public_facility", "Fasilitas umum", "Public place"
    ONLINE = "online", "Daring", "Online"
    OTHER = "other", "Lainnya", "Other"


class Relation(Term):
    """What the suspected person is to the child."""

    PARENT = "parent", "Orang tua", "Parent"
    STEP_PARENT = "step_parent", "Orang tua tiri", "Step-parent"
    RELATIVE = "relative", "Kerabat", "Relative"
    SPOUSE = "spouse", "Suami atau istri", "Spouse"
    PARTNER_FRIEND = "partner_friend", "Pacar atau teman", "Partner or friend"
    NEIGHBOUR = "neighbour", "Tetangga", "Neighbour"
    TEACHER = "teacher", "Guru", "Teacher"
    EMPLOYER = "employer", "Majikan", "Employer"
    COLLEAGUE = "colleague", "Rekan kerja", "Colleague"
    STRANGER = "stranger", "Orang tak dikenal", "Stranger"
    OTHER = "other", "Lainnya", "Other"
    UNKNOWN = "unknown", "Belum diketahui", "Not known yet"


class Answer(Term):
    """A fact of safety; not knowing is an answer of its own."""

    YES = "yes", "Ya", "Yes"
    NO = "no", "Tidak", "No"
    UNKNOWN = "unknown", "Tidak tahu", "Not known"


class Sex(Term):
    """As written in the identity papers."""

    FEMALE = "female", "Perempuan", "Female"
    MALE = "male", "Laki-laki", "Male"
    UNKNOWN = "unknown", "Belum diketahui", "Not known yet"


class AgeBand(Term):
    """Bands instead of ages, so that a referral does not point at one child."""

    UNDER_6 = "under_6", "0-5 tahun", "0-5 years"
    FROM_6_TO_11 = "from_6_to_11", "6-11 tahun", "6-11 years"
    FROM_12_TO_14 = "from_12_to_14", "12-14 tahun", "12-14 years"
    FROM_15_TO_17 = "from_15_to_17", "15-17 tahun", "15-17 years"
    UNKNOWN = "unknown", "Belum diketahui", "Not known yet"

    @classmethod
    def of(cls, years: int | None) -> "AgeBand":
        """The band of an age in completed years."""
        if years is None:
            return cls.UNKNOWN
        bands = ((6, cls.UNDER_6), (12, cls.FROM_6_TO_11), (15, cls.FROM_12_TO_14))
        return next((band for limit, band in bands if years < limit), cls.FROM_15_TO_17)


class Urgency(Term):
    """Computed from the safety facts, never asked as an opinion."""

    HIGH = "high", "TINGGI", "HIGH"
    MEDIUM = "medium", "SEDANG", "MEDIUM"
    LOW = "low", "RENDAH", "LOW"


class Right(Term):
    """What every child is owed (coordination meeting of 13 September 2022)."""

    PROMPT_RESPONSE = "prompt_response", "Layanan cepat", "Prompt response"
    PHYSICAL_REHABILITATION = "physical_rehabilitation", "Rehabilitasi fisik", "Physical rehabilitation"
    PSYCHOLOGICAL_REHABILITATION = (
        "psychological_rehabilitation",
        "Rehabilitasi psikis",
        "Psychological rehabilitation",
    )
    SOCIAL_REHABILITATION = "social_rehabilitation", "Rehabilitasi sosial", "Social rehabilitation"
    SOCIAL_AID = "social_aid", "Bantuan sosial", "Social aid"
    EDUCATION = "education", "Kelangsungan pendidikan", "Continuity of education"
    ACCOMPANIMENT = "accompaniment", "Pendampingan", "Accompaniment"
    RESTITUTION = "restitution", "Restitusi", "Restitution"


class RightState(Term, fallback="unanswered"):
    """Where a right of the child stands in the ledger of its case."""

    UNANSWERED = "unanswered", "belum dijawab", "not answered yet"
    OFFERED = "offered", "ditawarkan", "offered"
    REFUSED_BY_VICTIM = "refused_by_victim", "ditolak korban", "refused by the victim"
    PLANNED = "planned", "direncanakan", "planned"
    REFERRED = "referred", "dirujuk", "referred"
    IN_PROGRESS = "in_progress", "sedang dilayani", "being served"
    FULFILLED = "fulfilled", "terpenuhi", "fulfilled"
    NOT_APPLICABLE = "not_applicable", "tidak berlaku", "not applicable"


class CaseEnd(Term):
    """How a case is terminated."""

    COMPLETED = "completed", "selesai", "completed"
    CLOSED = "closed", "ditutup", "closed"
    TRANSFERRED = "transferred", "dilimpahkan ke daerah lain", "transferred to another region"


class PlanEnd(Term, fallback="closed"):
    """How a proposed service plan ended."""

    CONFIRMED = "confirmed", "disahkan", "confirmed"
    SENT = "sent", "dikirim pada batas waktunya", "sent at its deadline"
    CLOSED = "closed", "tidak diperlukan lagi", "no longer needed"
    MOVED = "moved", "dialihkan ke pengelola kasus lain", "moved to another case manager"


class Service(Term, fallback="manual_triage"):
    """One need of the child that one agency answers; a referral asks one agency for one or more services."""

    # Manual triage is the fallback, because a person then finds out which service the child needs.
    CASE_MANAGEMENT = "case_management", "Pengelolaan kasus", "Case management"
    OUTREACH = "outreach", "Penjangkauan", "Outreach"
    EMERGENCY_PROTECTION = "emergency_protection", "Perlindungan darurat", "Emergency protection"
    POLICE_REPORT = "police_report", "Laporan polisi", "Police report"
    FORENSIC_EXAM = "forensic_exam", "Visum", "Forensic examination"
    MEDICAL_CARE = "medical_care", "Perawatan medis", "Medical care"
    PEP_72H = "pep_72h", "Pencegahan 72 jam", "72-hour treatment"
    PSYCHOLOGIST = "psychologist", "Psikolog", "Psychologist"
    COUNSELLING = "counselling", "Konseling", "Counselling"
    SHELTER = "shelter", "Rumah aman", "Shelter"
    SOCIAL_ASSESSMENT = "social_assessment", "Asesmen sosial", "Social assessment"
    REINTEGRATION = "reintegration", "Reintegrasi", "Reintegration"
    SOCIAL_AID = "social_aid", "Bantuan sosial", "Social aid"
    STAY_IN_SCHOOL = "stay_in_school", "Tetap bersekolah", "Stay in school"
    SCHOOL_TRANSFER = "school_transfer", "Pindah sekolah", "School transfer"
    ACCOMPANY_REPORT = "accompany_report", "Pendampingan lapor polisi", "Accompaniment to report"
    ACCOMPANY_HEARING = "accompany_hearing", "Pendampingan sidang", "Accompaniment in court"
    LEGAL_AID = "legal_aid", "Bantuan hukum", "Legal aid"
    RESTITUTION_INFORMATION = "restitution_information", "Informasi restitusi", "Information on restitution"
    RESTITUTION_CLAIM = "restitution_claim", "Pengajuan restitusi", "Claim for restitution"
    MANUAL_TRIAGE = "manual_triage", "Triase manual", "Manual triage"


class ReferralRole(Term):
    """Exactly one agency leads a service; others may support it."""

    LEAD = "lead", "Penanggung jawab", "Lead"
    SUPPORT = "support", "Pendukung", "Support"


class ActorRole(Term):
    """In which role a person acts on a case; an agreement names the roles that may open a mediation."""

    CASE_MANAGER = "case_manager", "Pengelola kasus", "Case manager"
    COORDINATOR = "coordinator", "Koordinator kasus", "Case coordinator"
    AGENCY_LEAD = "agency_lead", "Pimpinan lembaga", "Agency lead"
    RESPONDER = "responder", "Petugas layanan", "Responder"
    OPERATOR = "operator", "Operator sistem", "System operator"
    EMERGENCY_READER = "emergency_reader", "Pembaca darurat", "Emergency reader"
    """Reads one case for an hour, for a reason that a second person confirmed."""


class DeclineReason(Term, fallback="other"):
    """Why an agency cannot serve a referral. Routing reroutes the referral; a decline never ends a service."""

    OUTSIDE_MANDATE = "outside_mandate", "Di luar mandat", "Outside its mandate"
    OUTSIDE_AREA = "outside_area", "Di luar wilayah", "Outside its area"
    NO_CAPACITY = "no_capacity", "Tidak ada kapasitas", "No capacity"
    ALREADY_SERVED = "already_served", "Sudah dilayani", "Already served"
    CONFLICT_OF_INTEREST = "conflict_of_interest", "Konflik kepentingan", "Conflict of interest"
    DATA_MISSING = "data_missing", "Data kurang", "Data missing"
    CLIENT_UNREACHABLE = "client_unreachable", "Anak tidak dapat dihubungi", "The child cannot be reached"
    CONSENT_NEEDED = "consent_needed", "Perlu persetujuan", "Consent is needed"
    OTHER = "other", "Lainnya", "Other"


class ReferralOutcome(Term):
    """How a referral was completed."""

    SERVED = "served", "Terlayani", "Served"
    SERVED_IN_PART = "served_in_part", "Terlayani sebagian", "Served in part"
    REFUSED_BY_VICTIM = "refused_by_victim", "Ditolak korban", "Refused by the victim"
    NOT_NEEDED = "not_needed", "Tidak diperlukan", "Not needed"


class ReplyRefusal(Term, fallback="not_now"):
    """Why a reply changed nothing; routing notifies the agency."""

    UNKNOWN_REFERRAL = "unknown_referral", "Rujukan ini tidak dikenal.", "This referral is not known."
    NOT_ITS_REFERRAL = (
        "not_its_referral",
        "Rujukan ini ditujukan kepada lembaga lain.",
        "This referral is addressed to another agency.",
    )
    UNKNOWN_SERVICE = (
        "unknown_service",
        "Layanan ini bukan bagian dari rujukan tersebut.",
        "This service is not part of the referral.",
    )
    REROUTED = (
        "rerouted",
        "Layanan ini sudah dilimpahkan ke lembaga lain.",
        "This service was rerouted to another agency.",
    )
    ALREADY_ENDED = "already_ended", "Layanan ini sudah berakhir.", "This service has already ended."
    NOT_YET_ACCEPTED = (
        "not_yet_accepted",
        "Terima layanan ini dahulu, baru laporkan pelaksanaannya.",
        "Accept the service first, then report on it.",
    )
    NOT_NOW = (
        "not_now",
        "Balasan ini tidak sesuai dengan keadaan layanan sekarang.",
        "This reply does not fit where the service stands.",
    )
    FIRST_AID_FIRST = (
        "first_aid_first",
        "Anak dalam bahaya: catat pertolongan pertama dahulu, baru limpahkan.",
        "The child is in danger: record first aid first, then decline.",
    )


class CancelReason(Term, fallback="other"):
    """Why services were cancelled."""

    CASE_ENDED = "case_ended", "Kasus sudah diakhiri", "The case ended"
    CASE_MERGED = "case_merged", "Sudah ditangani dalam kasus lain anak ini", "Served in another case of this child"
    TAKEN_BACK = "taken_back", "Ditarik oleh pengelola kasus", "Taken back by the case manager"
    ENTERED_IN_ERROR = "entered_in_error", "Salah input", "Entered in error"
    OTHER = "other", "Alasan lain", "Another reason"


class ReplanReason(Term, fallback="other"):
    """What made routing decide a case again."""

    FACTS_AMENDED = "facts_amended", "Ada fakta baru", "New facts"
    URGENCY_CHANGED = "urgency_changed", "Kegentingan diubah", "The urgency was changed"
    AGENCY_EXCLUDED = "agency_excluded", "Sebuah lembaga dikecualikan", "An agency was excluded"
    EXCLUSION_REJECTED = "exclusion_rejected", "Usulan pengecualian ditolak", "A suggested exclusion was rejected"
    CASE_REOPENED = "case_reopened", "Kasus dibuka kembali", "The case was reopened"
    DUPLICATE_MERGED = "duplicate_merged", "Kasus ganda digabung", "A duplicate case was merged"
    OTHER = "other", "Alasan lain", "Another reason"


class AlertChannel(Term, fallback="other"):
    """How a responder is alerted."""

    SMS = "sms", "SMS", "SMS"
    MAIL = "mail", "E-mail", "E-mail"
    OTHER = "other", "Kanal lain", "Another channel"


class StepReason(Term, fallback="deadline"):
    """Why a step of a clock was taken."""

    DEADLINE = "deadline", "Batas waktu", "Its time has come"
    NOBODY_REACHED = "nobody_reached", "Tidak ada yang dapat dihubungi", "Nobody could be reached"


class AgencyAlarm(Term, fallback="silent"):
    """Why an agency does not see its referrals."""

    SILENT = "silent", "Sistem lembaga tidak menjawab", "Its system is silent"
    PARKED = "parked", "Pesan tidak dapat dibaca", "It could not use a message"


class AlertFailure(Term):
    """Why an alert failed."""

    REJECTED = "rejected", "Ditolak penyedia", "Refused by the provider"
    NOBODY_ON_DUTY = "nobody_on_duty", "Tidak ada petugas jaga", "Nobody on duty"


class ParkReason(Term, fallback="invalid"):
    """Why a message was parked: by a service, or by an agency that reports it to the city."""

    TOO_LARGE = "too_large", "Terlalu besar", "Too large"
    UNSIGNED = "unsigned", "Tanpa tanda tangan", "Unsigned"
    UNKNOWN_KEY = "unknown_key", "Kunci tidak dikenal", "The key is not known, or not valid now"
    FORGED = "forged", "Tanda tangan palsu", "Signed by somebody else, or altered afterwards"
    MALFORMED = "malformed", "Bukan CloudEvent dalam JSON", "Not a CloudEvent in JSON"
    UNKNOWN_TYPE = "unknown_type", "Jenis tidak dikenal", "A type that this version does not know"
    UNAUTHORIZED_PUBLISHER = "unauthorized_publisher", "Di luar kewenangan pengirim", "Its sender may not publish this"
    INVALID = "invalid", "Tidak sesuai kontrak", "Against the contract"
    FOR_ANOTHER_AGENCY = "for_another_agency", "Untuk lembaga lain", "For another agency"
    CANNOT_OPEN = "cannot_open", "Tidak dapat dibuka", "Sealed to another key, or moved from another event"
    ID_REUSED = "id_reused", "Id yang sama, isi lain", "The same id came before with other content"
    UNSTORABLE = "unstorable", "Tidak dapat disimpan", "The database refuses to store it"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted", "Selalu gagal diproses", "Its handler failed again and again"


class DossierSection(Term):
    """A part of what is known of the child that is disclosed as a whole."""

    IDENTITY = "identity", "Identitas", "Identity"
    NARRATIVE = "narrative", "Kronologi", "Chronology"
    MEDICAL = "medical", "Data medis", "Medical data"
    LEGAL = "legal", "Data hukum", "Legal data"
    SCHOOL = "school", "Data sekolah", "School data"
    LOGISTICS = "logistics", "Kontak/logistik", "Contact/logistics"


class DisclosureBasis(Term):
    """The legal basis on which an agency learns who the child is (R7)."""

    GUARDIAN_CONSENT = "guardian_consent", "Persetujuan wali", "Consent of the guardian"
    CHILD_CONSENT = "child_consent", "Persetujuan anak", "Consent of the child"
    LEGAL_DUTY = "legal_duty", "Kewajiban hukum", "Legal duty"
    VITAL_INTEREST = "vital_interest", "Kepentingan vital anak", "Vital interest of the child"
    PUBLIC_TASK = "public_task", "Tugas pelayanan publik", "Public task"
