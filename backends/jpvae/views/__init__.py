"""Tables and arrays on their way in and out: reading, columns and their families, units, outputs."""
