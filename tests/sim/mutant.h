// Included before every file of sim_mutants: which rule is taken out, by its number in mutants.py; 0: none.
#pragma once
extern int perch_mutant;
