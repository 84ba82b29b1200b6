"""A few questions that lead a member of a task force to the lawful next step; they work offline too."""
