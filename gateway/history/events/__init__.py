"""Events of the journal that the history understands, and those that it makes: what the checks found."""
