"""Pages on which a lead looks after the team: who is on duty, who is away, and what the agency can take."""
