"""The rules of routing: facts, the agreement, decisions, referrals. No I/O, no clock, no framework."""
