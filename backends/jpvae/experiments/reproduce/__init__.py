"""The paper's tables and figures by one command: trainings, classifiers, pieces of results, and the report made of them."""
