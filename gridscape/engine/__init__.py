"""Training: cohorts, the functions of one trial, and the compiled programs of many."""
