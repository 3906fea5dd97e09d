"""Every gateway as the platform sees it: what is wrong with which, and how each one was. Only reads."""
