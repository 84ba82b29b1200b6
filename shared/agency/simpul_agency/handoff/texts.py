"""The words of the local web inbox, Bahasa Indonesia first."""

from collections.abc import Mapping

STATES: Mapping[str, tuple[str, str]] = {
    "referral.offered.v1": ("menunggu jawaban", "waits for an answer"),
    "referral.reminded.v1": ("menunggu jawaban, sudah diingatkan", "waits for an answer, reminded"),
    "referral.overdue.v1": ("lewat waktu", "overdue"),
    "referral.escalated.v1": ("lewat waktu, dieskalasi", "overdue, escalated"),
    "referral.accepted.v1": ("diterima", "accepted"),
    "referral.started.v1": ("layanan dimulai", "service begun"),
    "referral.declined.v1": ("dialihkan ke instansi lain", "handed over to another agency"),
    "referral.rerouted.v1": ("dialihkan ke instansi lain", "handed over to another agency"),
    "referral.completed.v1": ("selesai", "completed"),
    "referral.consent_withdrawn.v1": ("persetujuan dicabut", "the consent was withdrawn"),
    "reply.withdrawal.acknowledged.v1": ("penghentian dikonfirmasi", "stopping was confirmed"),
    "referral.cancelled.v1": ("dibatalkan", "cancelled"),
    "referral.revoked.v1": ("ditarik kembali", "taken back"),
    "reply.referral.accepted.v1": ("diterima, dikirim ke kota", "accepted, on its way to the city"),
    "reply.referral.declined.v1": ("ditolak, dikirim ke kota", "declined, on its way to the city"),
    "reply.referral.scheduled.v1": ("dijadwalkan", "scheduled"),
    "reply.referral.unattended.v1": ("anak tidak datang", "the child did not come"),
    "reply.referral.started.v1": ("layanan dimulai", "service begun"),
    "reply.referral.completed.v1": ("selesai, dikirim ke kota", "completed, on its way to the city"),
}
"""By the wire name of what was said last."""

FACTS: Mapping[str, tuple[str, str]] = {
    "violence": ("Jenis kekerasan", "Kinds of violence"),
    "implied_violence": ("Di antaranya disimpulkan dari fakta lain", "Of these, implied by other facts"),
    "sex": ("Jenis kelamin", "Sex"),
    "age_band": ("Kelompok usia", "Age band"),
    "kecamatan": ("Kecamatan", "Kecamatan"),
    "safe_now": ("Aman sekarang", "Safe now"),
    "injured": ("Terluka", "Injured"),
    "sexual_under_72h": ("Kekerasan seksual kurang dari 72 jam", "Sexual violence less than 72 hours ago"),
    "suicidal_sign": ("Tanda bunuh diri", "Suicidal sign"),
    "trafficking_sign": ("Tanda perdagangan orang", "Sign of trafficking"),
    "pregnant": ("Hamil", "Pregnant"),
    "disability_need": ("Kebutuhan khusus", "Disability need"),
    "in_school": ("Bersekolah", "In school"),
    "mediation_locked": ("Mediasi dilarang", "No mediation is allowed"),
}
