"""The lobby screen: what the building uses, for people who pass by."""
