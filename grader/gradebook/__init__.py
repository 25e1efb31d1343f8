"""What stays of a marking: the journal of records, and nbgrader's database made from it."""
