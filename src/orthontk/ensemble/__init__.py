"""Ensembles: many networks that differ in seed, initialization or learning rate, trained as one."""
