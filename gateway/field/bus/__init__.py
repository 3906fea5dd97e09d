"""A bus as its meters see it: one request in flight, silence where it is due, what a read costs, and never
an answer to another question.
"""
