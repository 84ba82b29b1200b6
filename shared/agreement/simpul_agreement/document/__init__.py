"""The document that people sign: the city's prose and the clauses that run, numbered alike in every form."""
