"""The commands on tables: fit, impute, inspect, evaluate. One file each, with its options, its example and what it prints."""
