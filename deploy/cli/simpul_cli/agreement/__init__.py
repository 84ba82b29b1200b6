"""What `simpul agreement` does: two provers, examples, explanation, comparison, simulation, the document to sign."""
