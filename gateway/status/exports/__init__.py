"""Tables of the energy views as files: real numbers, real dates, the unit in each head, and the quality."""
